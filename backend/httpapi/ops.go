package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// checkTimeout bounds one readiness check.
const checkTimeout = 2 * time.Second

// Check is one thing that must be well for this server to be ready.
type Check struct {
	Name string
	Run  func(ctx context.Context) error
}

// OpsConfig is what the operator's endpoints show.
type OpsConfig struct {
	Version string
	Checks  []Check
	Metrics prometheus.Gatherer
	Pprof   bool // serve /debug/pprof too
}

// Ops serves the operator's endpoints. They ask for no key: their listener is for the operator's network alone.
func Ops(c OpsConfig) http.Handler {
	mux := http.NewServeMux()
	live := func(w http.ResponseWriter, _ *http.Request) {
		tell(w, http.StatusOK, map[string]string{"status": "ok"})
	}
	mux.HandleFunc("GET /livez", live)
	mux.HandleFunc("GET /healthz", live)
	mux.HandleFunc("GET /readyz", c.ready)
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		tell(w, http.StatusOK, Version{Version: c.Version, Contract: wire.Version, Go: runtime.Version()})
	})
	if c.Metrics != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	}
	if c.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secureHeaders(w.Header())
		mux.ServeHTTP(w, r)
	})
}

// readiness is the answer of /readyz.
type readiness struct {
	Status string        `json:"status"`
	Checks []checkResult `json:"checks"`
}

type checkResult struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
}

func (c OpsConfig) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
	defer cancel()
	answer := readiness{Status: "ready", Checks: make([]checkResult, len(c.Checks))}
	var all sync.WaitGroup
	for i, check := range c.Checks {
		all.Go(func() { answer.Checks[i] = check.run(ctx) })
	}
	all.Wait()
	status := http.StatusOK
	for _, result := range answer.Checks {
		if !result.OK {
			answer.Status, status = "not ready", http.StatusServiceUnavailable
		}
	}
	tell(w, status, answer)
}

func (c Check) run(ctx context.Context) checkResult {
	if err := c.Run(ctx); err != nil {
		return checkResult{Name: c.Name, Reason: errs.UserText(err)}
	}
	return checkResult{Name: c.Name, OK: true}
}

func tell(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil { // strings, numbers and booleans always are JSON
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // who has gone needs no answer
}
