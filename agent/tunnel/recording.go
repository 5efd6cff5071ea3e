package tunnel

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"

	"bulkhead/agent/tunnel/policy"
	"bulkhead/agent/tunnel/recorder"
	"bulkhead/internal/cast"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// farewell is how long the last chunk of a recording may take while the agent stops.
const farewell = time.Second

// begin begins the recording of a shell.
type begin func(h cast.Header) (recording, error)

// record gives what records the shells of a tunnel; nil where neither the grant nor the device's policy asks for it.
func (t *tunnel) record(ctx context.Context, rule policy.Rule) begin {
	if !t.grant.Record && !rule.Record {
		return nil
	}
	return func(h cast.Header) (recording, error) {
		g := t.grant
		sealer, err := wire.NewRecordingSealer(wire.RecordingHead{
			Tunnel: g.ID, Session: int(t.recorded.Add(1)), Project: g.Project, Device: g.Device, Serial: g.Serial,
		}, t.own.Signer(), g.RecordKey)
		if err != nil {
			return recording{}, errs.As(wire.Internal, err, "the recording cannot be sealed")
		}
		r, err := recorder.Begin(ctx, recorder.Config{Keep: t.tunnels.config.Keep, Sealer: sealer}, h)
		if err != nil {
			t.log.Warn("a shell was refused: it cannot be recorded", logkey.Reason, errs.UserText(err), logkey.Error, err)
			return recording{}, err
		}
		return recording{Recorder: r, stopping: t.tunnels.group.Context()}, nil
	}
}

// recording is that of a session. The zero recording records nothing.
type recording struct {
	*recorder.Recorder
	stopping context.Context // ends when the agent stops
	said     sync.Once
}

func (r *recording) failed() <-chan struct{} {
	if r.Recorder == nil {
		return nil
	}
	return r.Failed()
}

func (r *recording) resize(size pty.Winsize) {
	if r.Recorder != nil {
		r.Resize(int(size.Cols), int(size.Rows))
	}
}

// tee records what goes to w, before it goes there.
func (r *recording) tee(code cast.Code, w io.Writer) io.Writer {
	if r.Recorder == nil {
		return w
	}
	return io.MultiWriter(r.Stream(code), w)
}

// finish waits until all is kept.
func (r *recording) finish() error {
	if r.Recorder == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.stopping))
	defer cancel()
	defer context.AfterFunc(r.stopping, func() { time.AfterFunc(farewell, cancel) })()
	return r.Finish(ctx)
}

func (s *session) beginRecording(command string) error {
	if s.record == nil {
		return nil
	}
	h := cast.Header{Width: 80, Height: 24, Command: command, Env: map[string]string{"SHELL": s.account.shell}}
	if s.terminal != nil {
		h.Width, h.Height, h.Env["TERM"] = int(s.terminal.size.Cols), int(s.terminal.size.Rows), s.terminal.term
	}
	begun, err := s.record(h)
	s.recording.Recorder, s.recording.stopping = begun.Recorder, begun.stopping
	return err
}

// typed records what is typed where the policy says so. What is typed without being shown is not recorded otherwise.
func (s *session) typed(w io.Writer) io.Writer {
	if !s.input {
		return w
	}
	return s.recording.tee(cast.Input, w)
}

// refuse answers the request for a shell that cannot be recorded.
func (s *session) refuse(why error, ended chan struct{}) {
	s.refused = true
	s.running.Go(func() {
		defer close(ended)
		s.explain(why)
	})
}

// giveUp ends a shell that is not recorded any more.
func (s *session) giveUp(ended <-chan struct{}) {
	told := make(chan struct{})
	s.running.Go(func() {
		defer close(told)
		s.explain(s.recording.Err())
	})
	timer := time.NewTimer(hangUp)
	defer timer.Stop()
	select {
	case <-told:
	case <-timer.C: // the other end reads nothing
	}
	s.hangUp(ended)
}

// explain tells the other end why its shell is not served any longer, once.
func (s *session) explain(why error) {
	s.recording.said.Do(func() {
		_, _ = fmt.Fprintf(s.channel.Stderr(), "\r\nbulkhead: the shell has ended, because it must be recorded: %s\r\n", errs.UserText(why))
		_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(errs.Of(errs.KindOf(why)).Exit)})) //nolint:gosec // small
	})
}
