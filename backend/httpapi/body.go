package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// bodied reads a request's body whole, within a time and a size, so that no operation waits for its sender: a read
// deadline that passes while an operation works would cancel it.
func (a *API) bodied(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Now().Add(a.bodyTimeout)) // not every test's writer can
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			refuseBody(w, r, err)
			return
		}
		_ = control.SetReadDeadline(time.Time{})
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		next.ServeHTTP(w, r)
	})
}

func refuseBody(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	var network net.Error
	w.Header().Set("Connection", "close") // what is left of the body is not read
	switch {
	case errors.As(err, &tooLarge):
		refuse(w, r, http.StatusRequestEntityTooLarge, CodeBodyTooLarge, "the request's body is too large")
	case errors.As(err, &network) && network.Timeout():
		refuse(w, r, http.StatusRequestTimeout, CodeBodyTooSlow, "the request's body did not arrive in time")
	default:
		refuse(w, r, http.StatusBadRequest, codeOf(http.StatusBadRequest), "the request's body could not be read")
	}
}
