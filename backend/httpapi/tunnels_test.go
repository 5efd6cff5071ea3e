package httpapi_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/backend/httpapi"
	"bulkhead/backend/remote"
	"bulkhead/db"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// newRemote decides about tunnels to devices that do not answer: what happens behind an opening is tested in backend/remote.
func newRemote(s *stage, log *slog.Logger) *remote.Remote {
	return remote.New(remote.Config{
		Store: db.NewTunnels(s.database.DB), Gateway: noGateway{}, Agents: noAgents{}, Key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize)),
		UserURL: "wss://bulkhead.test/user", DeviceURL: "wss://bulkhead.test/device",
		RecordingKey: func(context.Context, wire.Key) (string, error) {
			return "", errs.E(wire.Unavailable, "there are no recording keys")
		},
		Reachable: func(wire.Key, wire.Serial) bool { return true }, Log: log, Now: s.clock.Now,
	})
}

type noGateway struct{}

func (noGateway) Admit(remote.Pass) (user, device secret.Value, err error) {
	return secret.Value{}, secret.Value{}, errs.E(wire.Unavailable, "the gateway is closed")
}
func (noGateway) End(string, string) bool           { return false }
func (noGateway) Extend(string, time.Time) bool     { return false }
func (noGateway) Usage(string) (remote.Usage, bool) { return remote.Usage{}, false }

type noAgents struct{}

func (noAgents) OpenTunnel(context.Context, wire.Key, wire.Key, wire.TunnelOpenRequest) (wire.TunnelOpenReply, error) {
	return wire.TunnelOpenReply{}, errs.E(wire.Unavailable, "the device is not connected")
}

func (noAgents) ExtendTunnel(context.Context, wire.Key, wire.Key, wire.TunnelExtendRequest) error {
	return errs.E(wire.Unavailable, "the device is not connected")
}

var _ = alsoBad(map[string][]bad{
	"create-tunnel": {
		{"POST", "/projects/plant-a/devices/press-1/tunnels", `{"target":"127.0.0.1"}`, 422, "invalid"}, {"POST", "/projects/plant-a/devices/press-1/tunnels", `{"target":"127.0.0.1:0"}`, 422, "invalid"},
		{"POST", "/projects/plant-a/devices/press-1/tunnels", `{"target":"127.0.0.1:22","ttl_seconds":59}`, 422, "invalid"}, {"POST", "/projects/plant-a/devices/press-1/tunnels", `{"target":"127.0.0.1:22","ttl_seconds":28801}`, 422, "invalid"},
		{"POST", "/projects/plant-a/devices/press-1/tunnels", `{}`, 422, "invalid"}, {"POST", "/projects/plant-b/devices/{serial}/tunnels", `{"target":"127.0.0.1:22"}`, 404, "not_found"},
	},
	"create-terminal":   {{"POST", "/projects/plant-a/devices/press-1/terminals", `{"target":"127.0.0.1:22"}`, 422, "invalid"}, {"POST", "/projects/plant-b/devices/{serial}/terminals", `{}`, 404, "not_found"}},
	"list-tunnels":      {{"GET", "/projects/nowhere/tunnels", "", 404, "not_found"}, {"GET", "/projects/plant-a/tunnels?live=perhaps", "", 422, "invalid"}},
	"get-tunnel":        {{"GET", "/tunnels/nowhere", "", 404, "not_found"}, {"GET", "/tunnels/%00", "", 422, "invalid"}},
	"open-tunnel":       {{"POST", "/tunnels/nowhere/open", `{}`, 404, "not_found"}, {"POST", "/tunnels/nowhere/open", `{"client_key":5}`, 422, "invalid"}},
	"approve-tunnel":    {{"POST", "/tunnels/nowhere/approve", "", 404, "not_found"}},
	"deny-tunnel":       {{"POST", "/tunnels/nowhere/deny", "", 404, "not_found"}},
	"extend-tunnel":     {{"POST", "/tunnels/nowhere/extend", `{"ttl_seconds":1}`, 422, "invalid"}, {"POST", "/tunnels/nowhere/extend", `{"ttl_seconds":60}`, 404, "not_found"}},
	"close-tunnel":      {{"DELETE", "/tunnels/nowhere", "", 404, "not_found"}},
	"get-tunnel-policy": {{"GET", "/projects/nowhere/tunnel-policy", "", 404, "not_found"}},
	"set-tunnel-policy": {{"PUT", "/projects/plant-a/tunnel-policy", `{}`, 422, "invalid"}, {"PUT", "/projects/nowhere/tunnel-policy", `{"approval":true}`, 404, "not_found"}},
})

var _ = func() bool {
	maps.Copy(exampleBody, map[string]string{"create-terminal": `{}`, "open-tunnel": `{}`, "extend-tunnel": `{"ttl_seconds":60}`})
	for _, id := range []string{"list-tunnels", "get-tunnel", "open-tunnel", "approve-tunnel", "deny-tunnel", "extend-tunnel", "close-tunnel"} {
		elsewhere[id] = true // they ask of the device that a tunnel leads to, in the tests of this file
	}
	entriesOf["create-tunnel"], entriesOf["create-terminal"] = []audit.Action{audit.TunnelRequest}, []audit.Action{audit.TunnelRequest}
	return true
}()

// A tunnel is as much its project's as the device that it leads to.
func TestATunnelOfAnotherProjectDoesNotExist(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.plant("plant-a")
	s.plant("plant-b")
	made := must[httpapi.Tunnel](s, 201, "POST", "/projects/plant-a/devices/press-1/tunnels", httpapi.TunnelCreate{Target: "127.0.0.1:22"})
	who, as := s.somebody("stranger", "*")
	s.join("plant-b", who, wire.SetAdministrator)
	for _, op := range operations(t, s) {
		if !strings.Contains(op.path, "{tunnel}") {
			continue
		}
		path := func(id string) string { return httpapi.Prefix + strings.Replace(op.path, "{tunnel}", id, 1) }
		real, none := s.sameTime(op.id, func() answer { return s.do(op.method, path(made.ID), bodyOf(op.id), as) }, func() answer { return s.do(op.method, path("nowhere"), bodyOf(op.id), as) })
		if real.status != 404 || told(real) != told(none) {
			t.Errorf("%s: %s, and of none: %s", op.id, told(real), told(none))
		}
	}
	if got := must[httpapi.Tunnel](s, 200, "GET", "/tunnels/"+made.ID, nil); got.State != made.State {
		t.Errorf("the tunnel is %s", got.State)
	}
}

// What is done to a tunnel asks of its device what the operation names, and what the tunnel itself needs.
func TestATunnelAsksForThePrivilegesOnItsDevice(t *testing.T) {
	t.Parallel()
	w := &watching{}
	s := newStage(t, func(c *httpapi.Config) { c.Authorizer = w })
	p, d, _ := s.plant("plant-a")
	shell := must[httpapi.Tunnel](s, 201, "POST", "/projects/plant-a/devices/press-1/terminals", httpapi.TerminalCreate{})
	w.take()
	want := map[string][]wire.Flag{
		"get-tunnel": {wire.DeviceRead}, "open-tunnel": {wire.DeviceRead, wire.DeviceTerminal}, "approve-tunnel": {wire.DeviceRead, wire.DeviceTerminal},
		"deny-tunnel": {wire.DeviceRead, wire.DeviceTerminal}, "extend-tunnel": {wire.DeviceRead, wire.DeviceTerminal}, "close-tunnel": {wire.DeviceRead},
	}
	for _, op := range operations(t, s) {
		if !strings.Contains(op.path, "{tunnel}") {
			continue
		}
		s.do(op.method, httpapi.Prefix+strings.Replace(op.path, "{tunnel}", shell.ID, 1), bodyOf(op.id))
		var flags []wire.Flag
		for _, q := range w.take() {
			if q.on.Kind != "device" || q.on.Project != p.Key || q.on.Key != d.Device.Key {
				t.Errorf("%s is about %+v", op.id, q.on)
			}
			flags = append(flags, q.flag)
		}
		if !slices.Equal(flags, want[op.id]) {
			t.Errorf("%s asks for %s, want %s", op.id, flags, want[op.id])
		}
	}
}
