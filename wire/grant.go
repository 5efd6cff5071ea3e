package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Grant is the permission to open one tunnel to one device. The backend signs it, and the device checks it with the key of
// its flash file before it asks its own policy: a router or gateway that was taken over can open nothing.
type Grant struct {
	Version int     `json:"version"`
	ID      string  `json:"id"` // of the tunnel
	Project Key     `json:"project_key"`
	Device  Key     `json:"device_key"`
	Serial  Serial  `json:"serial"`
	By      Grantee `json:"by"`
	Target  Target  `json:"target"`
	// Record asks for a recording of what is shown.
	Record bool `json:"record"`
	// RecordKey is the public half of the project's recording key, in base64, for what may be recorded.
	RecordKey string `json:"record_key,omitempty"`
	// ClientKey is the fingerprint of the key with which the user's end proves itself to the device, end to end; empty
	// where the user's end is the gateway, which reads what goes through: see EndToEnd.
	ClientKey string `json:"client_key"`
	Gateway   string `json:"gateway"` // wss://HOST/tunnel/device: the only place that the device dials for it
	// NotBefore and OpenBy bound when it opens a tunnel, Expires when the tunnel ends; epoch milliseconds.
	NotBefore int64 `json:"not_before"`
	OpenBy    int64 `json:"open_by"`
	Expires   int64 `json:"expires"`
	// IdleSeconds ends a tunnel that carries nothing; MaxStreams and Rate (bytes per second each way, 0: any) bound it.
	IdleSeconds int      `json:"idle_seconds"`
	MaxStreams  int      `json:"max_streams"`
	Rate        int64    `json:"rate"`
	Approvers   []string `json:"approvers"`
	Nonce       string   `json:"nonce"`
}

// Grantee is who asked for a tunnel, and how they proved who they are.
type Grantee struct {
	Kind   string `json:"kind"`
	ID     string `json:"id"`
	Name   string `json:"name"`
	Method string `json:"method"` // second_factor or apikey
	At     int64  `json:"at"`     // of the proof, epoch milliseconds
}

// Limits of grants.
const (
	MaxGrant       = 8 << 10 // bytes
	MaxGrantLife   = 8 * time.Hour
	MaxGrantIdle   = time.Hour
	MaxGrantStream = 1024
	// GrantSkew is how far before it was made a grant begins, for devices whose clocks are late.
	GrantSkew = 5 * time.Second
	minNonce  = 16
)

// SignedGrant is a grant as it travels: its bytes in base64, with the signature over them.
type SignedGrant struct {
	Grant     string `json:"grant"`
	Signature string `json:"signature"`
}

// grantContext keeps the signature from being read as one of anything else.
const grantContext = "bulkhead grant v1\x00"

// ErrGrantSignature is returned for a grant that the key has not signed.
var ErrGrantSignature = errors.New("grant: the signature is not the backend's")

// SignGrant signs a grant that is whole.
func SignGrant(key ed25519.PrivateKey, g Grant) (SignedGrant, error) {
	if err := g.check(); err != nil {
		return SignedGrant{}, err
	}
	text, err := json.Marshal(g)
	if err != nil {
		return SignedGrant{}, err
	}
	signature := ed25519.Sign(key, append([]byte(grantContext), text...))
	return SignedGrant{base64.StdEncoding.EncodeToString(text), base64.StdEncoding.EncodeToString(signature)}, nil
}

// Verify gives the grant if the key has signed it. Nothing of it is looked at before that. A grant has one form: the same
// members in another order, or twice, are not that grant.
func (s SignedGrant) Verify(key ed25519.PublicKey) (Grant, error) {
	if len(s.Grant) > base64.StdEncoding.EncodedLen(MaxGrant) || len(key) != ed25519.PublicKeySize {
		return Grant{}, ErrGrantSignature
	}
	text, errText := base64.StdEncoding.Strict().DecodeString(s.Grant)
	signature, errSignature := base64.StdEncoding.Strict().DecodeString(s.Signature)
	if errText != nil || errSignature != nil || !ed25519.Verify(key, append([]byte(grantContext), text...), signature) {
		return Grant{}, ErrGrantSignature
	}
	return parseGrant(text)
}

func parseGrant(text []byte) (Grant, error) {
	var g Grant
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&g); err != nil {
		return Grant{}, fmt.Errorf("grant: %w", err)
	}
	again, err := json.Marshal(g)
	if err != nil || !bytes.Equal(again, text) {
		return Grant{}, errors.New("grant: not in canonical form")
	}
	return g, g.check()
}

// EndToEnd reports whether nobody between the user's end and the device's can read what goes through.
func (g Grant) EndToEnd() bool { return g.ClientKey != "" }

func (g Grant) check() error {
	if g.Version != Version {
		return fmt.Errorf("grant: version is %d, want %d", g.Version, Version)
	}
	if !g.Project.Valid() || !g.Device.Valid() {
		return errors.New("grant: project or device is missing")
	}
	if _, err := ParseSerial(string(g.Serial)); err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	if g.ID == "" || len(g.Nonce) < minNonce || g.By.Kind == "" || g.By.ID == "" || g.Approvers == nil {
		return errors.New("grant: id, nonce, approvers or who asked is missing")
	}
	if err := g.Target.Check(); err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	if g.Target.Protocol.Web() && g.EndToEnd() {
		return errors.New("grant: what the gateway serves is not encrypted from end to end")
	}
	return g.checkLimits()
}

func (g Grant) checkLimits() error {
	gateway, err := url.Parse(g.Gateway)
	if err != nil || gateway.Scheme != "wss" || gateway.Host == "" || gateway.User != nil {
		return errors.New("grant: gateway: want a URL like wss://host/tunnel/device")
	}
	if g.NotBefore <= 0 || g.OpenBy <= g.NotBefore || g.Expires < g.OpenBy {
		return errors.New("grant: the times are not in order")
	}
	if g.IdleSeconds < 1 || time.Duration(g.IdleSeconds)*time.Second > MaxGrantIdle || g.MaxStreams < 1 || g.MaxStreams > MaxGrantStream || g.Rate < 0 {
		return errors.New("grant: idle_seconds, max_streams or rate is out of bounds")
	}
	if g.ClientKey != "" {
		if raw, err := base64.StdEncoding.DecodeString(g.ClientKey); err != nil || len(raw) != 32 {
			return errors.New("grant: client_key: want a SHA-256 in base64")
		}
	}
	return g.checkRecording()
}

func (g Grant) checkRecording() error {
	if g.RecordKey == "" {
		if g.Record {
			return errors.New("grant: record_key: missing in a grant that asks for a recording")
		}
		return nil
	}
	if _, _, err := parseRecordingKey(g.RecordKey); err != nil {
		return fmt.Errorf("grant: record_key: %w", err)
	}
	return nil
}
