package dev

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/lifecycle"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// samplePage is a web application beside the sample devices, for who wants to see one through a tunnel.
type samplePage struct {
	url    string
	server *http.Server
	group  *lifecycle.Group
}

func startPage(log *slog.Logger) (*samplePage, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errs.As(wire.Unavailable, err, "the sample page has no port")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", showPage)
	mux.HandleFunc("GET /clock", tellTime)
	p := &samplePage{url: "http://" + l.Addr().String(), group: lifecycle.NewGroup(context.Background())}
	p.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: stopTimeout, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return p.group.Context() }, // a clock goes on until it ends
	}
	p.group.Go(func(context.Context) {
		if err := p.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Warn("the sample page is not served any more", logkey.Error, err)
		}
	})
	return p, nil
}

func (p *samplePage) stop() {
	_ = p.server.Close() // the group waits for the rest
	p.group.Stop()
}

func showPage(w http.ResponseWriter, r *http.Request) {
	machine, _ := os.Hostname() // the page does without
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, map[string]string{ // who has gone needs no answer
		"Machine": cmp.Or(machine, "this machine"), "Now": clock(), "Host": r.Host, "For": cmp.Or(r.Header.Get("X-Forwarded-Host"), "nobody else"),
	})
}

func clock() string { return time.Now().Format(time.TimeOnly) }

// tellTime tells the time, once a second.
func tellTime(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for out := http.NewResponseController(w); ; {
		if _, err := fmt.Fprintf(w, "data: %s\n\n", clock()); err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}
