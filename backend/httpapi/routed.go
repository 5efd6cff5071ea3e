package httpapi

import (
	"net/http"

	"bulkhead/wire"
)

// routed gives the request to the operations, and turns the words in which ServeMux refuses what it does not know into
// problem documents.
func (a *API) routed(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, pattern := mux.Handler(r)
		if pattern != "" {
			requestOf(r.Context()).pattern = pattern
			mux.ServeHTTP(w, r)
			return
		}
		probe := &statusProbe{header: http.Header{}}
		handler.ServeHTTP(probe, r)
		if probe.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", probe.header.Get("Allow"))
			refuse(w, r, http.StatusMethodNotAllowed, CodeMethodNotAllowed, "this path does not have this method")
			return
		}
		refuse(w, r, http.StatusNotFound, string(wire.NotFound), "no such path")
	})
}

// statusProbe learns what a handler would answer.
type statusProbe struct {
	header http.Header
	status int
}

func (p *statusProbe) Header() http.Header         { return p.header }
func (p *statusProbe) Write(b []byte) (int, error) { return len(b), nil }
func (p *statusProbe) WriteHeader(status int)      { p.status = status }
