package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func ask(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestReadinessNamesWhatIsNotReadyAndTellsNoCause(t *testing.T) {
	t.Parallel()
	fine := httpapi.Check{Name: "router", Run: func(context.Context) error { return nil }}
	down := httpapi.Check{Name: "database", Run: func(context.Context) error {
		return errs.As(wire.Unavailable, errors.New("password canary"), "the database cannot be reached")
	}}
	stuck := httpapi.Check{Name: "ingest", Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	if status, body := ask(t, httpapi.Ops(httpapi.OpsConfig{Checks: []httpapi.Check{fine}}), "/readyz"); status != 200 || !strings.Contains(body, `"status":"ready"`) {
		t.Errorf("%d %s", status, body)
	}
	status, body := ask(t, httpapi.Ops(httpapi.OpsConfig{Checks: []httpapi.Check{fine, down, stuck}}), "/readyz")
	var answer struct {
		Status string
		Checks []struct {
			Name, Reason string
			OK           bool
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if status != 503 || answer.Status != "not ready" || len(answer.Checks) != 3 || !answer.Checks[0].OK || answer.Checks[1].OK || answer.Checks[2].OK ||
		answer.Checks[1].Reason != "the database cannot be reached" || answer.Checks[2].Reason == "" {
		t.Errorf("%d %s", status, body)
	}
}

func TestTheServerIsAliveWhateverIsNotReady(t *testing.T) {
	t.Parallel()
	h := httpapi.Ops(httpapi.OpsConfig{Version: "1.2.3", Checks: []httpapi.Check{{Name: "x", Run: func(context.Context) error { return errors.New("no") }}}})
	for _, path := range []string{"/livez", "/healthz", "/version"} {
		if status, body := ask(t, h, path); status != 200 || !json.Valid([]byte(body)) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestMetricsAreServedAndProfilesOnlyWhereAskedFor(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "bulkhead_test_total", Help: "x"})
	registry.MustRegister(counter)
	h := httpapi.Ops(httpapi.OpsConfig{Metrics: registry})
	if status, body := ask(t, h, "/metrics"); status != 200 || !strings.Contains(body, "bulkhead_test_total 0") {
		t.Errorf("%d %s", status, body)
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/", "/nowhere"} {
		if status, _ := ask(t, h, path); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	with := httpapi.Ops(httpapi.OpsConfig{Pprof: true})
	if status, _ := ask(t, with, "/debug/pprof/heap"); status != 200 {
		t.Errorf("asked for: %d", status)
	}
	if status, _ := ask(t, with, "/metrics"); status != 404 {
		t.Errorf("without a registry: %d", status)
	}
}
