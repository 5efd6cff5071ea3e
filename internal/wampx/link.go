package wampx

import (
	"net"
	"sync"
	"time"
)

// writeTimeout is how long the router may take no byte of what is written.
const writeTimeout = 10 * time.Second

// link is the connection below TLS. Once it is watched, each read and each write has a deadline of its own, so that a
// large message may take its time while a silent router may not.
type link struct {
	net.Conn

	mu      sync.Mutex // guards what follows
	silence time.Duration
	kept    bool
	dropped bool
}

func newLink(conn net.Conn) *link { return &link{Conn: conn} }

// abandon closes the link unless it is kept.
func (l *link) abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.kept {
		l.dropped = true
		_ = l.Conn.Close()
	}
}

// keep makes the link outlive the context that it was dialled under, and reports whether it was in time.
func (l *link) keep() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = !l.dropped
	return l.kept
}

// watch gives up after so much silence.
func (l *link) watch(silence time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silence = silence
}

func (l *link) watched() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.silence
}

func (l *link) Read(b []byte) (int, error) {
	if silence := l.watched(); silence > 0 {
		if err := l.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return 0, err
		}
	}
	return l.Conn.Read(b)
}

func (l *link) Write(b []byte) (int, error) {
	if l.watched() > 0 {
		if err := l.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return 0, err
		}
	}
	return l.Conn.Write(b)
}
