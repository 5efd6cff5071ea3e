package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/wire"
)

func tunnelRows(t httpapi.Tunnel) [][]string {
	return [][]string{
		{"id", t.ID}, {"device", t.Device}, {"target", t.Target}, {"state", t.State}, {"by", t.ByName}, {"reason", t.Reason},
		{"end to end", yesNo(t.EndToEnd)}, {"readable by", readableBy(t)}, {"url", t.URL}, {"recorded", yesNo(t.Recorded)}, {"expires", when(t.ExpiresAt)}, {"ended", t.Ended},
	}
}

func (inv *invocation) tunnelCommand() *cobra.Command {
	act := func(verb, use, short string) *cobra.Command {
		return acting(inv, use, short, arguments(1, 1), func(_ *cobra.Command, args []string) (request, error) {
			return request{method: http.MethodPost, path: path("tunnels", args[0], verb)}, nil
		}, tunnelRows)
	}
	return group("tunnel", "Routes to what devices reach, for a while",
		inv.tunnelOpen(), inv.tunnelList(),
		acting[none](inv, "close ID", "End a tunnel, or withdraw its request", arguments(1, 1), func(_ *cobra.Command, args []string) (request, error) {
			return request{method: http.MethodDelete, path: path("tunnels", args[0])}, nil
		}, nil),
		act("approve", "approve ID", "Approve a tunnel that another asks for"), act("deny", "deny ID", "Deny a tunnel that another asks for"),
		inv.tunnelExtend(), inv.tunnelForget(), inv.tunnelPolicy(),
	)
}

// readableBy tells who can read what goes through besides its two ends.
func readableBy(t httpapi.Tunnel) string {
	if t.EndToEnd {
		return "nobody"
	}
	return "gateway"
}

func (inv *invocation) tunnelList() *cobra.Command {
	var project string
	var all bool
	c := &cobra.Command{Use: "list --project PROJECT", Short: "List the tunnels of a project that have not ended"}
	c.Flags().BoolVar(&all, "all", false, "also those that have ended, the newest 500")
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := inv.client()
		if err != nil {
			return err
		}
		list, err := fetch[httpapi.List[httpapi.Tunnel]](c.Context(), api, request{
			method: http.MethodGet, path: path("projects", project, "tunnels"), query: map[string][]string{"live": {fmt.Sprint(!all)}},
		})
		if err != nil {
			return err
		}
		return inv.print(list.Items, func() table {
			t := table{head: []string{"ID", "DEVICE", "TARGET", "STATE", "READABLE", "BY", "EXPIRES", "SENT", "RECEIVED", "URL", "ENDED"}}
			for _, one := range list.Items {
				t.add(one.ID, one.Device, one.Target, one.State, readableBy(one), one.ByName, when(one.ExpiresAt), text(one.Sent), text(one.Received), one.URL, one.Ended)
			}
			return t
		})
	}
	return ofProject(c, &project, true)
}

func (inv *invocation) tunnelExtend() *cobra.Command {
	var ttl time.Duration
	c := acting(inv, "extend ID", "Let an open tunnel last for longer", arguments(1, 1), func(_ *cobra.Command, args []string) (request, error) {
		return request{method: http.MethodPost, path: path("tunnels", args[0], "extend"), body: httpapi.TunnelExtend{TTLSeconds: int64(ttl / time.Second)}}, nil
	}, tunnelRows)
	c.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long from now")
	return c
}

func (inv *invocation) tunnelForget() *cobra.Command {
	c := &cobra.Command{Use: "forget DEVICE", Short: "Forget the key of a device that was set up anew", Args: arguments(1, 1)}
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := inv.client()
		if err != nil {
			return err
		}
		device, _, err := find(c.Context(), api, args[0])
		if err != nil {
			return err
		}
		known, err := inv.knownDevices(api.context)
		if err != nil {
			return err
		}
		return known.forget(api.context.Server, device.Key, args[0])
	}
	return c
}

func (inv *invocation) tunnelPolicy() *cobra.Command {
	rows := func(p httpapi.TunnelPolicy) [][]string {
		return [][]string{{"approval by another", yesNo(p.Approval)}, {"only what is recorded", yesNo(p.Recording)}}
	}
	set := inv.tunnelPolicySet(rows)
	return group("policy", "What a project asks for before a tunnel is opened",
		acting(inv, "show PROJECT", "Show it", arguments(1, 1), func(_ *cobra.Command, args []string) (request, error) {
			return request{method: http.MethodGet, path: path("projects", args[0], "tunnel-policy")}, nil
		}, rows), set)
}

// tunnelPolicySet changes what its flags name and leaves the rest.
func (inv *invocation) tunnelPolicySet(rows func(httpapi.TunnelPolicy) [][]string) *cobra.Command {
	var approval, recording bool
	c := &cobra.Command{Use: "set PROJECT [--approval=true|false] [--recording=true|false]", Short: "Change what a project asks for", Args: arguments(1, 1)}
	c.Flags().BoolVar(&approval, "approval", false, "one other person approves each tunnel")
	c.Flags().BoolVar(&recording, "recording", false, "nothing is opened that is not recorded: shells of devices that record")
	c.RunE = func(c *cobra.Command, args []string) error {
		if !c.Flags().Changed("approval") && !c.Flags().Changed("recording") {
			return usage(c, "say what to change: --approval or --recording")
		}
		api, err := inv.client()
		if err != nil {
			return err
		}
		target := path("projects", args[0], "tunnel-policy")
		p, err := fetch[httpapi.TunnelPolicy](c.Context(), api, request{method: http.MethodGet, path: target})
		if err != nil {
			return err
		}
		if c.Flags().Changed("approval") {
			p.Approval = approval
		}
		if c.Flags().Changed("recording") {
			p.Recording = recording
		}
		if p, err = fetch[httpapi.TunnelPolicy](c.Context(), api, request{method: http.MethodPut, path: target, body: p}); err != nil {
			return err
		}
		return inv.print(p, func() table { return table{rows: rows(p)} })
	}
	return c
}

// openTunnel is what `tunnel open` tells once the port is there.
type openTunnel struct {
	ID      string         `json:"id"`
	Listen  string         `json:"listen"`
	Port    int            `json:"port"`
	Target  string         `json:"target"`
	Expires time.Time      `json:"expires_at"`
	Tunnel  httpapi.Tunnel `json:"tunnel"`
}

func (inv *invocation) tunnelOpen() *cobra.Command {
	var to, listen, reason string
	var ttl time.Duration
	c := &cobra.Command{
		Use: "open DEVICE --to HOST:PORT|http://HOST:PORT", Short: "Forward a local port to what a device reaches, or show its web application, until Ctrl-C", Args: arguments(1, 1),
		Example: "  bulkhead tunnel open plant-a/press-1 --to 127.0.0.1:8080 --listen 127.0.0.1:9000\n  bulkhead tunnel open plant-a/press-1 --to http://127.0.0.1:8080",
	}
	c.Flags().StringVar(&to, "to", "", "target as the device sees it")
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "local address; port 0 takes a free one")
	c.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long it may last, at most 8h")
	c.Flags().StringVar(&reason, "reason", "", "why, for the record")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := required(c, "to"); err != nil {
			return err
		}
		target, err := wire.ParseTarget(to)
		if err != nil {
			return usage(c, "--to %v", err)
		}
		ask := httpapi.TunnelCreate{Target: to, EndToEnd: !target.Protocol.Web(), TTLSeconds: int64(ttl / time.Second), Reason: reason}
		if target.Protocol.Web() {
			if c.Flags().Changed("listen") {
				return usage(c, "--listen belongs to HOST:PORT: what begins with %s:// is shown by the server", target.Protocol)
			}
			return inv.openWeb(c.Context(), args[0], ask)
		}
		l, err := net.Listen("tcp", listen)
		if err != nil {
			return errs.As(wire.Unavailable, err, "--listen %s cannot be listened on: choose another port, or 0 for a free one", listen)
		}
		defer l.Close()
		p, err := inv.pass(c.Context(), args[0], "tunnels", target, ask)
		if err != nil {
			return err
		}
		return inv.forward(c.Context(), p, l)
	}
	return c
}

// forward forwards connections until the tunnel ends or the user has had enough.
func (inv *invocation) forward(ctx context.Context, p *passage, l net.Listener) error {
	defer p.close(ctx)
	told := openTunnel{
		ID: p.tunnel.ID, Listen: l.Addr().String(), Port: l.Addr().(*net.TCPAddr).Port, Target: p.tunnel.Target, Expires: p.tunnel.ExpiresAt, Tunnel: p.tunnel, //nolint:forcetypeassert // it listens on TCP
	}
	err := inv.print(told, func() table {
		return table{rows: [][]string{{told.Listen, "->", printable(p.tunnel.Device), told.Target}}}
	})
	if err != nil {
		return err
	}
	meter := &tunnelMeter{until: p.tunnel.ExpiresAt}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { meter.show(ctx, inv) })
	wg.Go(func() {
		select {
		case <-ctx.Done():
		case <-p.session.Done():
		}
		_ = l.Close()
		p.session.Close() // its streams end, and so their goroutines
	})
	for {
		conn, err := l.Accept()
		if err != nil {
			break
		}
		wg.Go(func() { inv.carry(ctx, p, conn, meter) })
	}
	if ctx.Err() != nil {
		return nil // to end it with Ctrl-C is what one does
	}
	return p.explain(ctx)
}

// carry forwards one connection.
func (inv *invocation) carry(ctx context.Context, p *passage, conn net.Conn, meter *tunnelMeter) {
	defer conn.Close()
	s, err := p.stream(ctx)
	if err != nil {
		if ctx.Err() == nil {
			fmt.Fprintf(inv.Err, "bulkhead: a connection was refused: %s\n", tame(errs.UserText(err)))
		}
		mux.Break(conn)
		return
	}
	defer s.Close()
	meter.open.Add(1)
	defer meter.open.Add(-1)
	_, back, err := mux.Pipe(counted(conn.(*net.TCPConn), &meter.sent), counted(s, &meter.received)) //nolint:forcetypeassert // it came from a TCP listener
	if ctx.Err() == nil && refusedThere(back, err) {
		fmt.Fprintln(inv.Err, "bulkhead: a connection was refused at the device: its policy does not allow it any more, or the target does not answer")
	}
}

// refusedThere tells a connection that the device has broken off before anything came from one that its user has.
func refusedThere(back int64, err error) bool {
	return back == 0 && mux.BrokenOff(err) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE)
}
