// Package policy is what the owner of a device allows to be reached through tunnels: a file at the device, and the rule
// that decides by it.
//
// It promises that nothing is allowed which no rule of the file names; that a file with an unknown key, a wrong value or
// in the hands of others allows nothing and says why; that addresses which lead to the cloud's or the link's own services
// are never allowed in passing; and that the decision is a function of values.
package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"gopkg.in/yaml.v3"

	"bulkhead/wire"
)

// Version is the version of the file's form.
const Version = 1

// maxRules bounds what is compared for each stream.
const maxRules = 256

// maxComplaint bounds what is said of a file that is broken.
const maxComplaint = 500

// Policy is what a device allows. The zero Policy allows nothing.
type Policy struct{ Rules []Rule }

// Rule allows what it names.
type Rule struct {
	Protocol  wire.Protocol
	Names     []string       // hosts by name; they must resolve to one of Addresses
	Addresses []netip.Prefix // hosts by address
	Ports     []Ports
	Hours     Hours
	Rate      int64 // bytes per second each way, 0: as granted
	Streams   int   // at once, 0: as granted
	Record    bool  // only what is recorded
	// RecordInput has what is typed recorded too, passwords among it.
	RecordInput bool
	EndToEnd    bool // only what the gateway cannot read
	Shell       Shell
	// Certificate is what is asked of a web application that speaks TLS.
	Certificate Certificate
}

// Certificate is whose certificate is good enough. The zero Certificate is one for the target's name, by an authority that
// the device trusts.
type Certificate struct {
	Any    bool   // whoever it is
	Pinned []byte // this one alone: its SHA-256
}

// Ports are a range, both ends included.
type Ports struct{ First, Last uint16 }

// Shell is how shells are started.
type Shell struct {
	User string   // "" is the agent's own
	Path string   // "" is the user's own
	Env  []string // names of variables that the other end may set
}

// file is the form of the file.
type file struct {
	Version int    `yaml:"version"`
	Allow   []rule `yaml:"allow"`
}

type rule struct {
	Protocol    string   `yaml:"protocol"`
	Hosts       []string `yaml:"hosts"`
	Ports       []string `yaml:"ports"`
	Hours       string   `yaml:"hours"`
	Days        []string `yaml:"days"`
	Rate        string   `yaml:"rate"`
	MaxStreams  int      `yaml:"max_streams"`
	Recording   string   `yaml:"recording"`
	Input       bool     `yaml:"record_input"`
	E2E         string   `yaml:"e2e"`
	Certificate string   `yaml:"certificate"`
	User        string   `yaml:"user"`
	Shell       string   `yaml:"shell"`
	Env         []string `yaml:"env"`
}

// Parse reads a policy. What it does not understand is an error, for a rule that is half understood may allow too much.
func Parse(text []byte) (Policy, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	var f file
	if err := dec.Decode(&f); err != nil {
		return Policy{}, syntax(err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return Policy{}, errors.New("more than one document")
	}
	if f.Version != Version {
		return Policy{}, fmt.Errorf("version: is %d, this agent reads %d", f.Version, Version)
	}
	if len(f.Allow) > maxRules {
		return Policy{}, fmt.Errorf("allow: more than %d rules", maxRules)
	}
	p := Policy{Rules: make([]Rule, len(f.Allow))}
	for i, r := range f.Allow {
		var err error
		if p.Rules[i], err = r.read(); err != nil {
			return Policy{}, fmt.Errorf("allow: rule %d: %w", i+1, err)
		}
	}
	return p, nil
}

func syntax(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("empty")
	}
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n  ")
	for _, noise := range []string{" in type policy.rule", " in type policy.file"} {
		text = strings.ReplaceAll(text, noise, "")
	}
	text = strings.ReplaceAll(text, ": field ", ": unknown key ")
	return errors.New(text[:min(len(text), maxComplaint)])
}

func (r rule) read() (out Rule, err error) {
	out = Rule{Protocol: wire.Protocol(r.Protocol), Streams: r.MaxStreams, RecordInput: r.Input, Shell: Shell{r.User, r.Shell, r.Env}}
	switch out.Protocol {
	case wire.ProtocolTCP, wire.ProtocolHTTP, wire.ProtocolHTTPS:
		err = r.readHosts(&out)
	case wire.ProtocolPTY:
		err = r.checkShell()
		if r.E2E == "" {
			r.E2E = "required" // whoever reads a shell has what is typed into it: that is allowed in words only
		}
	default:
		err = fmt.Errorf("protocol: %q: want tcp, http, https or pty", r.Protocol)
	}
	keep := func(e error) {
		if err == nil {
			err = e
		}
	}
	var e error
	out.Hours, e = parseHours(r.Hours, r.Days)
	keep(e)
	out.Rate, e = parseRate(r.Rate)
	keep(e)
	out.Certificate, e = r.readCertificate()
	keep(e)
	out.Record, e = parseRequired("recording", r.Recording)
	keep(e)
	out.EndToEnd, e = parseRequired("e2e", r.E2E)
	keep(e)
	if r.MaxStreams < 0 || r.MaxStreams > wire.MaxGrantStream {
		keep(fmt.Errorf("max_streams: want 1 to %d", wire.MaxGrantStream))
	}
	return out, err
}

func (r rule) readHosts(out *Rule) error {
	if r.User != "" || r.Shell != "" || len(r.Env) > 0 || r.Input {
		return errors.New("user, shell, env and record_input belong to protocol pty")
	}
	if len(r.Hosts) == 0 || len(r.Ports) == 0 {
		return fmt.Errorf("hosts and ports: both are needed with protocol %s", r.Protocol)
	}
	for _, h := range r.Hosts {
		if err := out.addHost(h); err != nil {
			return fmt.Errorf("hosts: %w", err)
		}
	}
	if len(out.Names) > 0 && len(out.Addresses) == 0 {
		return fmt.Errorf("hosts: %s may resolve to any address: name the addresses that it may lead to as well", out.Names[0])
	}
	for _, p := range r.Ports {
		ports, err := parsePorts(p)
		if err != nil {
			return fmt.Errorf("ports: %w", err)
		}
		out.Ports = append(out.Ports, ports)
	}
	return nil
}

// readCertificate reads what is asked of a certificate. What the gateway reads cannot be told from what it must not read by
// anything else than these protocols, so that "e2e: required" beside them would allow nothing.
func (r rule) readCertificate() (c Certificate, err error) {
	p := wire.Protocol(r.Protocol)
	if p.Web() && r.E2E == "required" {
		return c, fmt.Errorf("e2e: the gateway shows what protocol %s has, and reads it: leave the rule out to refuse that", p)
	}
	switch pin, pinned := strings.CutPrefix(r.Certificate, "sha256:"); {
	case r.Certificate == "":
		return c, nil
	case p != wire.ProtocolHTTPS:
		return c, errors.New("certificate belongs to protocol https")
	case pinned:
		c.Pinned, err = hex.DecodeString(pin)
		if err != nil || len(c.Pinned) != sha256.Size {
			return Certificate{}, errors.New("certificate: want sha256: and 64 hexadecimal digits")
		}
		return c, nil
	case r.Certificate == "any":
		return Certificate{Any: true}, nil
	case r.Certificate == "verified":
		return c, nil
	default:
		return c, fmt.Errorf("certificate: %q: want verified, any, or sha256: and the fingerprint of the one that is good", r.Certificate)
	}
}

func (r *Rule) addHost(text string) error {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		if prefix.Masked() != prefix || prefix.Addr().Is4In6() {
			return fmt.Errorf("%q is written %s", text, prefix.Masked())
		}
		r.Addresses = append(r.Addresses, prefix)
		return nil
	}
	if err := wire.CheckHost(text); err != nil {
		return err
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		r.Addresses = append(r.Addresses, netip.PrefixFrom(addr, addr.BitLen()))
		return nil
	}
	r.Names = append(r.Names, text)
	return nil
}

func (r rule) checkShell() error {
	if len(r.Hosts) > 0 || len(r.Ports) > 0 {
		return errors.New("hosts and ports belong to protocol tcp")
	}
	if r.Shell != "" && !strings.HasPrefix(r.Shell, "/") {
		return errors.New("shell: want a whole path, like /bin/sh")
	}
	for _, name := range r.Env {
		if !isVariable(name) || strings.HasPrefix(name, "LD_") || name == "PATH" || name == "IFS" || name == "ENV" || name == "BASH_ENV" {
			return fmt.Errorf("env: %q: a variable that the other end may set must not steer which programs run", name)
		}
	}
	return nil
}

func isVariable(name string) bool {
	for i, c := range []byte(name) {
		letter := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
