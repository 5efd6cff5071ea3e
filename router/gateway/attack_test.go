package gateway_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"bulkhead/internal/mux"
	"bulkhead/wire"
)

// Whatever is said of host and path, a ticket opens its own end, of its own tunnel.
func TestATicketOpensNothingByAnotherPathHeaderOrTunnel(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	a, b := s.admit(pass("A")), s.admit(pass("B"))
	ticket := string(a.User.Reveal())
	dialer := websocket.Dialer{TLSClientConfig: s.tls, Subprotocols: []string{wire.TunnelProtocol}}
	bearer := http.Header{"Authorization": {"Bearer " + ticket}}
	for name, c := range map[string]struct {
		path   string
		header http.Header
	}{
		"a path below":       {wire.TunnelPathUser + "/", bearer},
		"a doubled slash":    {"/" + wire.TunnelPathUser, bearer},
		"a way around":       {"/x/.." + wire.TunnelPathUser, bearer},
		"the device's door":  {wire.TunnelPathDevice, bearer},
		"in the path":        {wire.TunnelPathUser + "?ticket=" + ticket, nil},
		"in a cookie":        {wire.TunnelPathUser, http.Header{"Cookie": {"ticket=" + ticket}}},
		"another scheme":     {wire.TunnelPathUser, http.Header{"Authorization": {"Basic " + ticket}}},
		"shown twice":        {wire.TunnelPathUser, http.Header{"Authorization": {"Bearer " + ticket, "Bearer " + ticket}}},
		"with more after it": {wire.TunnelPathUser, http.Header{"Authorization": {"Bearer " + ticket + ", Bearer x"}}},
		"a tunnel's name":    {wire.TunnelPathUser, http.Header{"Authorization": {"Bearer A"}}},
	} {
		ws, response, err := dialer.Dial(s.url+c.path, c.header)
		if err == nil {
			_ = ws.Close()
		}
		if err == nil || response == nil || response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The user of one tunnel and the device of another do not meet, whoever they say they talk to.
	user, _, err := dialer.Dial(s.url+wire.TunnelPathUser, http.Header{"Authorization": bearer["Authorization"], "Host": {"b.tunnel.example"}})
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	device, err := s.dial(wire.TunnelPathDevice, b.Device)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	s.End("A", "killed")
	s.End("B", "killed")
	for range 2 {
		if c := s.closing(); !c.Began.IsZero() {
			t.Errorf("they met: %+v", c)
		}
	}
}

// A user who opens streams without end is refused all but their share, and holds up nobody.
func TestAHundredThousandStreamsAreRefusedAndHoldUpNobody(t *testing.T) {
	t.Parallel()
	many := 100_000
	if testing.Short() {
		many = 5_000
	}
	s := newStage(t, nil)
	other, _ := s.open(pass("other"))
	p := pass("T")
	p.MaxStreams = 8
	user, _ := s.open(p)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	opened := 0
	for range many {
		var stream mux.Stream
		stream, err := user.Open(ctx)
		if err != nil {
			break // the gateway may have had enough
		}
		if _, err := stream.Write([]byte("x")); err != nil && ctx.Err() != nil {
			break
		}
		opened++
	}
	if u, ok := s.Usage("T"); ok && u.Open > p.MaxStreams {
		t.Errorf("%d streams are open", u.Open)
	}
	ask(t, other, make([]byte, 1<<20))
	t.Logf("%d streams were tried", opened)
	user.Close()
	if c := s.closing(); c.Streams > many/2 {
		t.Errorf("%d streams were let through", c.Streams)
	}
}
