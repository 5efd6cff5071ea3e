// Package recorder records one shell: it makes asciicast v2 of what is shown, seals it in chunks, and hands them over.
//
// It promises that nothing is shown before the first chunk is kept; that what was shown is kept within the window, or the
// recording has failed and says why; that chunks are cut by size and time, in order, and that no length ends it; that who
// shows faster than chunks are kept is made to wait, and nothing is left out; and that a recording which says that it is
// complete has all that went through.
package recorder

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"bulkhead/internal/cast"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Keep hands a chunk over and waits until it is kept. Errors of the kinds invalid, denied, conflict, not found, exhausted
// and unauthenticated are final; after others it is tried again.
type Keep func(ctx context.Context, c wire.RecordingChunk) error

// Config is what a Recorder needs. The first two are required.
type Config struct {
	Keep   Keep
	Sealer *wire.RecordingSealer

	Window time.Duration // in which what was shown must be kept; default 10 s
	Flush  time.Duration // that a chunk waits for more; default 1 s
	Now    func() time.Time
}

const (
	defaultWindow = 10 * time.Second
	defaultFlush  = time.Second
	// enough is how much makes a chunk at once, and most how much may wait.
	enough = 32 << 10
	most   = 64 << 10
	// again is the pause between attempts to hand a chunk over, and attempt how long one may take.
	again   = 200 * time.Millisecond
	attempt = 4 * time.Second
)

// Recorder records one shell. Begin one and Finish it.
type Recorder struct {
	config Config
	began  time.Time
	stop   context.CancelFunc
	done   chan struct{} // closed when nothing is handed over any more
	failed chan struct{} // closed when the recording has failed
	wake   chan struct{} // has a token when there is something to look at

	mu      sync.Mutex // guards what follows
	room    *sync.Cond
	streams []*stream
	waiting []byte    // asciicast that no chunk has
	since   time.Time // of the oldest of it
	over    bool      // nothing is added any more
	err     error
}

// Begin begins a recording and waits until its first chunk is kept.
func Begin(ctx context.Context, c Config, h cast.Header) (*Recorder, error) {
	if c.Window <= 0 {
		c.Window = defaultWindow
	}
	if c.Flush <= 0 {
		c.Flush = defaultFlush
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	r := &Recorder{config: c, began: c.Now(), done: make(chan struct{}), failed: make(chan struct{}), wake: make(chan struct{}, 1)}
	r.room = sync.NewCond(&r.mu)
	h.Timestamp = r.began.Unix()
	line, err := cast.AppendHeader(nil, h)
	if err != nil {
		return nil, errs.As(wire.Internal, err, "")
	}
	if len(line) > wire.MaxRecordingPlain {
		return nil, errs.E(wire.Invalid, "a command of this length cannot be recorded")
	}
	if err := r.keep(ctx, line, "", r.began.Add(c.Window)); err != nil {
		return nil, err
	}
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx)) // it outlives its shell for as long as Finish says
	go r.run(ctx)                                                // Finish waits for it
	return r, nil
}

// Failed is closed when the recording has failed: what is shown from then on is not kept.
func (r *Recorder) Failed() <-chan struct{} { return r.failed }

// Err tells why the recording has failed; nil while it has not.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Stream gives a writer for what is shown, or typed, by one of the shell's streams. A write waits while too much waits.
func (r *Recorder) Stream(code cast.Code) io.Writer {
	s := &stream{recorder: r, code: code}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.streams = append(r.streams, s)
	return s
}

type stream struct {
	recorder *Recorder
	code     cast.Code
	splitter cast.Splitter // guarded by the recorder's mu
}

func (s *stream) Write(b []byte) (int, error) {
	for part := range slices.Chunk(b, 8<<10) {
		if err := s.recorder.add(s.code, func() string { return s.splitter.Text(part) }); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// Resize records another size of the terminal.
func (r *Recorder) Resize(width, height int) {
	_ = r.add(cast.Resize, func() string { return fmt.Sprintf("%dx%d", width, height) }) // who has failed says so by Failed
}

// add adds an event once there is room for it.
func (r *Recorder) add(code cast.Code, text func() string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.waiting) >= most && r.err == nil && !r.over {
		r.room.Wait()
	}
	if r.err != nil {
		return r.err
	}
	if r.over {
		return errOver
	}
	r.append(code, text())
	r.look()
	return nil
}

func (r *Recorder) append(code cast.Code, text string) {
	if text == "" {
		return
	}
	now := r.config.Now()
	if len(r.waiting) == 0 {
		r.since = now
	}
	r.waiting = cast.AppendEvent(r.waiting, cast.Event{At: now.Sub(r.began), Code: code, Data: text})
}

var errOver = errs.E(wire.Unavailable, "the recording is over")

func (r *Recorder) look() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Finish ends the recording: it waits until the last chunk is kept, as long as ctx and the window allow. Finishing twice
// is fine.
func (r *Recorder) Finish(ctx context.Context) error {
	r.finish()
	stop := context.AfterFunc(ctx, r.stop)
	defer stop()
	<-r.done
	return r.Err()
}

func (r *Recorder) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		for _, s := range r.streams {
			r.append(s.code, s.splitter.Rest())
		}
	}
	r.over = true
	r.room.Broadcast()
	r.look()
}

// run hands chunks over until the last one is kept or the recording has failed.
func (r *Recorder) run(ctx context.Context) {
	defer close(r.done)
	defer r.stop()
	for {
		plain, since, last := r.next(ctx)
		if plain == nil {
			r.fail(errs.E(wire.Unavailable, "the shell was broken off before its recording was kept"))
			return
		}
		end := ""
		if last {
			end = wire.RecordingComplete
		}
		if err := r.keep(ctx, plain, end, since.Add(r.config.Window)); err != nil {
			r.fail(err)
			return
		}
		if last {
			return
		}
	}
}

func (r *Recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	r.room.Broadcast()
	close(r.failed)
}

// next waits for a chunk that is due and gives what it has; nil when ctx has ended. The last one may have nothing.
func (r *Recorder) next(ctx context.Context) (plain []byte, since time.Time, last bool) {
	for {
		plain, since, last, pause := r.take()
		if plain != nil {
			return plain, since, last
		}
		timer := time.NewTimer(pause)
		select {
		case <-r.wake:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, since, false
		}
		timer.Stop()
	}
}

// take gives what the next chunk has, or how long to wait for it.
func (r *Recorder) take() (plain []byte, since time.Time, last bool, pause time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.config.Now()
	if len(r.waiting) == 0 {
		r.since = now
	}
	since = r.since
	due := since.Add(r.config.Flush).Sub(now)
	switch {
	case len(r.waiting) > wire.MaxRecordingPlain:
		plain = append([]byte{}, r.waiting[:wire.MaxRecordingPlain]...)
		r.waiting = append(r.waiting[:0], r.waiting[wire.MaxRecordingPlain:]...)
	case r.over || len(r.waiting) >= enough || len(r.waiting) > 0 && due <= 0:
		plain, r.waiting = append([]byte{}, r.waiting...), r.waiting[:0]
		last = r.over
	case len(r.waiting) == 0:
		due = time.Hour // until something is added
	}
	r.room.Broadcast()
	return plain, since, last, due
}

// keep seals a chunk and hands it over until it is kept, no later than a time.
func (r *Recorder) keep(ctx context.Context, plain []byte, end string, until time.Time) error {
	chunk, err := r.config.Sealer.Seal(plain, r.config.Now().UnixMilli(), end)
	if err != nil {
		return errs.As(wire.Internal, err, "the recording cannot be sealed")
	}
	ctx, cancel := context.WithTimeout(ctx, until.Sub(r.config.Now()))
	defer cancel()
	for {
		err := r.once(ctx, chunk)
		if err == nil || final(err) {
			return err
		}
		timer := time.NewTimer(again)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errs.As(wire.Unavailable, err, "its recording was not kept within %s", r.config.Window)
		}
	}
}

func (r *Recorder) once(ctx context.Context, c wire.RecordingChunk) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	return r.config.Keep(ctx, c)
}

func final(err error) bool {
	switch errs.KindOf(err) {
	case wire.Invalid, wire.Denied, wire.Conflict, wire.NotFound, wire.Exhausted, wire.Unauthenticated:
		return true
	default:
		return false
	}
}
