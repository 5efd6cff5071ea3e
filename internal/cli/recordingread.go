package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/cast"
	"bulkhead/wire"
)

// taker takes a recording line by line.
type taker interface {
	header(cast.Header) error
	event(cast.Event) error
}

// recordingReader verifies a recording while it reads it: it gives nothing away that the device has not signed.
type recordingReader struct {
	api     *client
	about   httpapi.Recording
	purpose string
	to      taker

	chain  wire.RecordingChain
	opener *wire.RecordingOpener
	line   []byte // that has not ended
	begun  bool
}

// readRecording fetches a recording, verifies it and hands it over; then it says what was verified.
func (inv *invocation) readRecording(ctx context.Context, id, purpose, signer string, to taker) error {
	api, err := inv.client()
	if err != nil {
		return err
	}
	about, err := fetch[httpapi.Recording](ctx, api, request{method: http.MethodGet, path: path("recordings", id)})
	if err != nil {
		return err
	}
	trust, err := inv.trustSigner(api, about, signer)
	if err != nil {
		return err
	}
	r := &recordingReader{api: api, about: about, purpose: purpose, to: to}
	if err := r.read(ctx, inv); err != nil {
		return err
	}
	fmt.Fprintf(inv.Err, "verified: %d chunks, signed by %s\n", r.chain.Next, trust)
	if !r.chain.Ended {
		why := about.Ended
		if why == "" {
			why = "its shell has not ended"
		}
		fmt.Fprintf(inv.Err, "not the whole shell: %s\n", printable(why))
	}
	return nil
}

// trustSigner compares the key that signed a recording with the one by which the device is known here, and says whose it is.
func (inv *invocation) trustSigner(api *client, about httpapi.Recording, named string) (whose string, err error) {
	known, err := inv.knownDevices(api.context)
	if err != nil {
		return "", err
	}
	keys, err := known.read()
	if err != nil {
		return "", err
	}
	device := printable(about.Device)
	expected, met := keys[knownAs(api.context.Server, about.DeviceKey)]
	if named != "" {
		expected, met = named, true
	}
	switch {
	case !met:
		return fmt.Sprintf("a key of %s that was never met from here: %s", device, about.Signer), nil
	case about.Signer != expected:
		return "", &verificationError{fmt.Sprintf("the recording is signed with another key than that of %s\n  known: %s\n  used:  %s\n"+
			"Where the device was set up anew since and had that key at the time, give --signer", device, expected, about.Signer)}
	default:
		return "the key of " + device + " that is known here", nil
	}
}

func (r *recordingReader) read(ctx context.Context, inv *invocation) error {
	began := time.Now()
	for {
		page, err := fetch[httpapi.RecordingChunks](ctx, r.api, request{
			method: http.MethodGet, path: path("recordings", r.about.ID, "chunks"), query: url.Values{"from": {strconv.FormatInt(r.chain.Next, 10)}},
		})
		if err != nil {
			return err
		}
		if len(page.Chunks) == 0 {
			break
		}
		for _, chunk := range page.Chunks {
			if err := r.take(ctx, chunk); err != nil {
				return err
			}
		}
		if isTerminal(inv.Err) && time.Since(began) > 2*time.Second {
			fmt.Fprintf(inv.Err, "\r%s", bar(int(r.chain.Next), int(max(r.about.Chunks, r.chain.Next))))
		}
	}
	return r.finish()
}

// finish checks that nothing is missing at the end.
func (r *recordingReader) finish() error {
	switch {
	case r.chain.Next < r.about.Chunks:
		return altered("%d of its %d chunks are there", r.chain.Next, r.about.Chunks)
	case r.about.State == "complete" && !r.chain.Ended:
		return altered("it is said to be complete, and has no end")
	case len(r.line) > 0 && r.chain.Ended, !r.begun:
		return altered("it is not asciicast v2")
	default:
		return nil
	}
}

func altered(format string, args ...any) error {
	return &verificationError{"the recording was altered, or its device wrote it wrongly: " + fmt.Sprintf(format, args...)}
}

// take verifies a chunk and hands over the lines that end in it.
func (r *recordingReader) take(ctx context.Context, chunk wire.RecordingChunk) error {
	p, err := chunk.Parse()
	if err == nil {
		err = r.chain.Accept(p)
	}
	if err != nil {
		return altered("%s", strings.TrimPrefix(err.Error(), wire.ErrRecording.Error()+": "))
	}
	h := p.Head
	if h.Tunnel != r.about.Tunnel || h.Session != r.about.Session || h.Project != r.about.ProjectKey || h.Device != r.about.DeviceKey || wire.Fingerprint(r.chain.Signer) != r.about.Signer {
		return altered("chunk %d is of another recording", h.Sequence)
	}
	if r.opener == nil {
		if err := r.unseal(ctx); err != nil {
			return err
		}
	}
	plain, err := r.opener.Open(p)
	if err != nil {
		return altered("%s", strings.TrimPrefix(err.Error(), wire.ErrRecording.Error()+": "))
	}
	return r.lines(plain)
}

// unseal asks for the key of the recording, which is put on record.
func (r *recordingReader) unseal(ctx context.Context) error {
	given, err := fetch[httpapi.RecordingKey](ctx, r.api, request{
		method: http.MethodPost, path: path("recordings", r.about.ID, "unseal"), body: httpapi.RecordingUnseal{Purpose: r.purpose},
	})
	if err != nil {
		return err
	}
	key, err := base64.StdEncoding.DecodeString(given.Key)
	if err == nil {
		r.opener, err = wire.NewRecordingOpener(key)
	}
	if err != nil {
		return altered("its key is no key")
	}
	return nil
}

func (r *recordingReader) lines(plain []byte) error {
	r.line = append(r.line, plain...)
	for {
		end := bytes.IndexByte(r.line, '\n')
		if end < 0 {
			break
		}
		if err := r.one(r.line[:end]); err != nil {
			return err
		}
		r.line = r.line[end+1:]
	}
	if len(r.line) > cast.MaxLine {
		return altered("a line is too long")
	}
	return nil
}

func (r *recordingReader) one(line []byte) error {
	if !r.begun {
		h, err := cast.ParseHeader(line)
		if err != nil {
			return altered("%v", err)
		}
		r.begun = true
		return r.to.header(h)
	}
	e, err := cast.ParseEvent(line)
	if err != nil {
		return altered("%v", err)
	}
	return r.to.event(e)
}
