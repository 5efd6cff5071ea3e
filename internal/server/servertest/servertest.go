// Package servertest gives a test a whole server, with a database of its own, and asks the server's API.
//
// It promises that the server trusts and is trusted by its own authority alone, and that it has stopped when the test is over.
package servertest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/httpapi"
	"bulkhead/db/dbtest"
	"bulkhead/internal/config"
	"bulkhead/internal/secret"
	"bulkhead/internal/server"
	"bulkhead/internal/wampx"
)

// Options are those of a server on free ports, with an empty database and a state directory that it makes.
func Options(t testing.TB) server.Options {
	t.Helper()
	c := config.Default()
	c.Listen, c.OpsListen, c.StateDir, c.Database.Driver = "127.0.0.1:0", "127.0.0.1:0", filepath.Join(t.TempDir(), "state"), config.DriverSchema
	return server.Options{Config: c, DatabaseURL: secret.FromString(dbtest.NewEmpty(t)), Log: slog.New(slog.DiscardHandler), Version: "test"}
}

// Stop stops a server.
func Stop(t testing.TB, s *server.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// Server is a server that runs until the test is over.
type Server struct {
	*server.Server
	Key  string // of its owner
	TLS  *tls.Config
	HTTP *http.Client

	t testing.TB
}

// connections are kept open by a client, for tests that ask for much at once.
const connections = 8

// Start starts a server.
func Start(t testing.TB) *Server {
	t.Helper()
	running, err := server.Start(t.Context(), Options(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Stop(t, running) })
	ca, errCA := os.ReadFile(running.CAFile())
	key, errKey := os.ReadFile(running.OwnerKeyFile())
	if errCA != nil || errKey != nil {
		t.Fatal(errCA, errKey)
	}
	s := &Server{Server: running, Key: strings.TrimSpace(string(key)), TLS: &tls.Config{RootCAs: x509.NewCertPool()}, t: t}
	s.TLS.RootCAs.AppendCertsFromPEM(ca)
	s.HTTP = &http.Client{Transport: &http.Transport{TLSClientConfig: s.TLS, MaxIdleConnsPerHost: connections}}
	t.Cleanup(s.HTTP.CloseIdleConnections)
	return s
}

// Ask asks the API as whoever has the token, and fails the test where that is refused.
func Ask[T any](s *Server, token, method, path string, body any) (out T) {
	s.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.API()+httpapi.Prefix+path, bytes.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := s.HTTP.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err = io.ReadAll(answer.Body); err != nil || answer.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %d %s %v", method, path, answer.StatusCode, text, err)
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &out); err != nil {
			s.t.Fatal(err)
		}
	}
	return out
}

// Join opens a session in a realm by a ticket of whoever has the token.
func (s *Server) Join(token, realm string) (*wampx.Session, error) {
	s.t.Helper()
	ticket := Ask[httpapi.Ticket](s, token, "POST", "/realms/"+realm+"/ticket", nil)
	session, err := wampx.Dial(s.t.Context(), wampx.Config{
		URL: s.Router(), Realm: ticket.Realm, AuthID: ticket.AuthID, Ticket: secret.FromString(ticket.Ticket), TLS: s.TLS,
	})
	if err == nil {
		s.t.Cleanup(func() { _ = session.Close(context.Background()) })
	}
	return session, err
}
