package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// meter counts answers and their times by route: the number of labels is that of our own routes.
type meter struct{ took *prometheus.HistogramVec }

func newMeter(r prometheus.Registerer) (*meter, error) {
	m := &meter{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "bulkhead_http_request_duration_seconds", Help: "Time to answer a request of the REST API, by route and status.",
		Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60},
	}, []string{"route", "status"})}
	if r == nil {
		return m, nil
	}
	return m, r.Register(m.took)
}

func (m *meter) measured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		watched := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			route := requestOf(r.Context()).pattern
			if route == "" {
				route = "none"
			}
			m.took.WithLabelValues(route, strconv.Itoa(watched.status)).Observe(time.Since(begun).Seconds())
		}()
		next.ServeHTTP(watched, r)
	})
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
