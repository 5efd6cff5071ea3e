package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
)

// Flash is what is written once onto a new device: where its router is, how to know it, and who the device is.
// In a file it is one JSON object; unknown members are errors, so that a typing error is not a silent default.
type Flash struct {
	Version     int    `json:"version"`
	Router      string `json:"router"` // wss://HOST/ws-agent
	CA          string `json:"ca"`     // PEM certificates that sign the router's
	Project     Key    `json:"project_key"`
	Device      Key    `json:"device_key"`
	Name        string `json:"name"`
	Serial      Serial `json:"serial"`
	DeviceRealm string `json:"device_realm"`
	// Secret is the WAMP-CRA secret: 32 random bytes in base64, used as it stands. It is a plain string here because
	// this is the one file that carries it; readers wrap it at once.
	Secret string `json:"secret"`
	// GrantKey is the Ed25519 public key, in base64, that verifies tunnel grants.
	GrantKey string `json:"grant_key"`
}

// MaxFlash is the largest flash file that is read.
const MaxFlash = 64 << 10

// ParseFlash reads a flash file and says what is wrong with it, in words for the person who wrote it to the device.
func ParseFlash(data []byte) (Flash, error) {
	var f Flash
	if len(data) > MaxFlash {
		return f, fmt.Errorf("larger than %d bytes", MaxFlash)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return f, errors.New("empty")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return Flash{}, flashSyntax(data, err)
	}
	if dec.More() {
		return Flash{}, errors.New("more than one JSON object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Flash{}, errors.New("text after the JSON object")
	}
	if err := f.check(); err != nil {
		return Flash{}, err
	}
	return f, nil
}

// flashSyntax says where the JSON is broken without repeating any of it: the file holds a secret.
func flashSyntax(data []byte, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("truncated: the JSON object does not end")
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("line %d: not JSON", 1+bytes.Count(data[:syntax.Offset], []byte("\n")))
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Errorf("line %d: %s: want a %s", 1+bytes.Count(data[:kind.Offset], []byte("\n")), kind.Field, kind.Type.Kind())
	}
	return err
}

func (f Flash) check() error {
	if f.Version != Version {
		return fmt.Errorf("version: is %d, this agent reads %d", f.Version, Version)
	}
	router, err := url.Parse(f.Router)
	if err != nil || router.Scheme != "wss" || router.Host == "" || router.User != nil {
		return errors.New("router: want a URL like wss://host/ws-agent")
	}
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(f.CA)) {
		if block, _ := pem.Decode([]byte(f.CA)); block == nil {
			return errors.New("ca: want certificates in PEM")
		}
		return errors.New("ca: no certificate can be read from the PEM")
	}
	if !f.Project.Valid() {
		return errors.New("project_key: missing")
	}
	if !f.Device.Valid() {
		return errors.New("device_key: missing")
	}
	if _, err := ParseSerial(string(f.Serial)); err != nil {
		return fmt.Errorf("serial: %w", err)
	}
	if strings.TrimSpace(f.DeviceRealm) == "" {
		return errors.New("device_realm: missing")
	}
	if raw, err := base64.StdEncoding.DecodeString(f.Secret); err != nil || len(raw) != 32 {
		return errors.New("secret: want 32 bytes in base64")
	}
	if raw, err := base64.StdEncoding.DecodeString(f.GrantKey); err != nil || len(raw) != ed25519.PublicKeySize {
		return errors.New("grant_key: want an Ed25519 public key in base64")
	}
	return nil
}
