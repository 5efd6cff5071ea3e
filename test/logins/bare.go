package main

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"bulkhead/internal/localca"
)

// bare is a server of net/http over TLS that reads each request and refuses it, which is the least that a server of the same
// kind does. It tells its place, and serves until its input ends.
func bare(in io.Reader, out io.Writer) error {
	dir, err := os.MkdirTemp("", "logins-bare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files, err := localca.Ensure(dir, []string{"127.0.0.1"}, time.Now())
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(files.CA)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(refuse), ReadHeaderTimeout: 5 * time.Second, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}}
	go func() {
		_, _ = io.Copy(io.Discard, in) // what it is told says nothing; that nothing more comes ends it
		_ = server.Close()
	}()
	if err := json.NewEncoder(out).Encode(place{API: "https://" + listener.Addr().String(), CA: ca}); err != nil {
		return err
	}
	if err := server.ServeTLS(listener, "", ""); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func refuse(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // as much as there is of it
	w.WriteHeader(http.StatusUnauthorized)
}
