package tunnel

import (
	"context"
	"time"

	"golang.org/x/crypto/ssh"

	"bulkhead/agent/tunnel/policy"
	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/wire"
)

const shellHandshake = 20 * time.Second

// shell serves one shell on a stream. What is spoken on it is the SSH protocol, for its sizes, signals and exit codes; who
// is at the other end was proved by the stream below, or to the gateway where the policy allows that it reads.
func (t *tunnel) shell(stream mux.Stream, rule policy.Rule) error {
	account, err := findAccount(rule.Shell)
	if err != nil {
		return err
	}
	signer, err := ssh.NewSignerFromSigner(t.own.Signer())
	if err != nil {
		return errs.As(wire.Internal, err, "")
	}
	config := &ssh.ServerConfig{NoClientAuth: true, MaxAuthTries: 1}
	config.AddHostKey(signer)
	_ = stream.SetDeadline(time.Now().Add(shellHandshake))
	conn, channels, requests, err := ssh.NewServerConn(stream, config)
	if err != nil {
		return errs.As(wire.Unavailable, err, "the other end does not speak the protocol of shells")
	}
	_ = stream.SetDeadline(time.Time{})
	defer conn.Close() //nolint:errcheck // it is over
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	closing := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer closing()
	go ssh.DiscardRequests(requests) // ends with conn
	serveSessions(ctx, cancel, channels, func(c ssh.Channel) *session {
		return &session{account: account, allowed: rule.Shell.Env, channel: c, record: t.record(ctx, rule), input: rule.RecordInput}
	})
	return nil
}

// serveSessions serves one session and refuses all that SSH has beside it: forwarding has grants of its own.
func serveSessions(ctx context.Context, done func(), channels <-chan ssh.NewChannel, begin func(ssh.Channel) *session) {
	var over chan struct{}
	defer func() {
		if over != nil {
			done()
			<-over
		}
	}()
	for offered := range channels {
		if offered.ChannelType() != "session" || over != nil {
			_ = offered.Reject(ssh.Prohibited, "one shell, and nothing else")
			continue
		}
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		over = make(chan struct{})
		go func() { // waited for above
			defer close(over)
			begin(channel).serve(ctx, requests)
			done()
		}()
	}
}
