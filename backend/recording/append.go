package recording

import (
	"bytes"
	"context"
	"encoding/base64"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Device is who hands a chunk over, as its session was proved.
type Device struct {
	Project wire.Key
	Key     wire.Key
	Serial  wire.Serial
}

// Append keeps the next chunk of a recording. One that is kept already is answered again.
func (r *Recordings) Append(ctx context.Context, by Device, c wire.RecordingChunk) error {
	p, err := c.Parse()
	if err != nil {
		return r.refuse(ctx, by, p, errs.As(wire.Invalid, err, "%s", err))
	}
	if h := p.Head; h.Project != by.Project || h.Device != by.Key || h.Serial != by.Serial {
		return r.refuse(ctx, by, p, errs.E(wire.Denied, "the chunk is of another device"))
	}
	if r.Spare != nil {
		if err := r.Spare(by.Project); err != nil {
			return errs.As(wire.Unavailable, err, "the server is short of disk space: nothing is recorded until there is more")
		}
	}
	if p.Head.Sequence == 0 {
		err = r.begin(ctx, p)
	} else {
		err = r.next(ctx, p)
	}
	if errs.KindOf(err) == wire.Conflict && r.kept(ctx, p) {
		return nil
	}
	switch errs.KindOf(err) {
	case wire.Denied, wire.Invalid, wire.Conflict, wire.Exhausted:
		return r.refuse(ctx, by, p, err)
	}
	return errs.Wrap("recording: append", err)
}

// refuse puts a refusal on record and gives it back. Of a device in other hands there may be many, which are counted.
func (r *Recordings) refuse(ctx context.Context, by Device, p wire.ParsedChunk, why error) error {
	if r.Refusals != nil {
		actor := audit.Actor{Kind: audit.Device, ID: string(by.Serial)}
		e := audit.New(actor, audit.RecordingRefuse, by.Project, assetOf(by.Key, "")).Changed(nil, map[string]any{
			"tunnel": p.Head.Tunnel, "session": p.Head.Session, "sequence": p.Head.Sequence, "reason": errs.UserText(why),
		})
		r.Refusals.Note(ctx, e.Failing())
	}
	return why
}

// kept reports whether a chunk is there already, as when its answer was lost.
func (r *Recordings) kept(ctx context.Context, p wire.ParsedChunk) bool {
	of := Recording{Tunnel: p.Head.Tunnel, Session: p.Head.Session}
	text, err := r.Store.RecordingHead(ctx, of, p.Head.Sequence)
	return err == nil && bytes.Equal(text, p.Text)
}

func size(p wire.ParsedChunk) int64 { return int64(len(p.Text) + len(p.Body) + len(p.Signature)) }

// begin keeps a first chunk, of a shell through a tunnel that is open and recorded.
func (r *Recordings) begin(ctx context.Context, p wire.ParsedChunk) error {
	t, err := r.Store.RecordedTunnel(ctx, p.Head.Tunnel)
	switch {
	case errs.KindOf(err) == wire.NotFound, err == nil && (t.Project != p.Head.Project || t.Device != p.Head.Device || t.Serial != p.Head.Serial):
		return errs.E(wire.Denied, "the chunk is of a tunnel that does not lead to this device")
	case err != nil:
		return err
	case t.Signer == "":
		return errs.E(wire.Denied, "the tunnel was opened without a recording: open another")
	case !t.Open:
		return errs.E(wire.Conflict, "the tunnel is not open")
	}
	if err := r.checkKeys(ctx, t, p.Head); err != nil {
		return err
	}
	var chain wire.RecordingChain
	if err := chain.Accept(p); err != nil {
		return errs.As(wire.Invalid, err, "%s", err)
	}
	now := r.now()
	made := Recording{
		Tunnel: t.ID, Session: p.Head.Session, Project: t.Project, Device: t.Device, DeviceName: t.DeviceName, By: t.By, Signer: chain.Signer,
		Hash: chain.Hash, Chunks: 1, Bytes: size(p), State: Open, Began: now, Last: now,
	}
	if chain.Ended {
		made.State = Complete
	}
	return r.Store.BeginRecording(ctx, made, p, r.Quota, entry(actorOf(t.Serial), audit.RecordingBegin, made))
}

func actorOf(s wire.Serial) audit.Actor { return audit.Actor{Kind: audit.Device, ID: string(s)} }

// checkKeys checks that the device signs with the key that it named at the tunnel's opening, which is on record, and seals
// to its project.
func (r *Recordings) checkKeys(ctx context.Context, t Tunnel, h wire.RecordingHead) error {
	signer, err := base64.StdEncoding.Strict().DecodeString(h.Signer)
	if err != nil || wire.Fingerprint(signer) != t.Signer {
		return errs.E(wire.Denied, "the recording is signed with another key than the device named when the tunnel was opened")
	}
	public, err := r.Key(ctx, t.Project)
	if err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(public)
	if err != nil || wire.Fingerprint(raw) != h.For {
		return errs.E(wire.Denied, "the recording is sealed to another key than the project's")
	}
	return nil
}

// next keeps a chunk that follows another.
func (r *Recordings) next(ctx context.Context, p wire.ParsedChunk) error {
	of, err := r.Store.Recording(ctx, p.Head.Tunnel, p.Head.Session)
	switch {
	case errs.KindOf(err) == wire.NotFound, err == nil && (of.Project != p.Head.Project || of.Device != p.Head.Device):
		return errs.E(wire.Denied, "the chunk is of a recording that this device has not begun")
	case err != nil:
		return err
	case p.Head.Sequence < of.Chunks && r.kept(ctx, p):
		return nil
	case of.State != Open:
		return errs.E(wire.Conflict, "the recording has ended")
	}
	chain := wire.RecordingChain{Next: of.Chunks, Hash: of.Hash, Signer: of.Signer}
	if err := chain.Accept(p); err != nil {
		return r.cut(ctx, of, errs.As(wire.Invalid, err, "%s", err))
	}
	of.Chunks, of.Hash, of.Bytes, of.Last = chain.Next, chain.Hash, of.Bytes+size(p), r.now()
	if !chain.Ended {
		return r.Store.AppendRecording(ctx, of, p, r.Quota, nil)
	}
	of.State = Complete
	e := entry(actorOf(p.Head.Serial), audit.RecordingEnd, of)
	return r.Store.AppendRecording(ctx, of, p, r.Quota, &e)
}

// cut ends a recording whose next chunk is not what it says, and gives back why.
func (r *Recordings) cut(ctx context.Context, of Recording, why error) error {
	of.State, of.Ended = Cut, "a chunk was refused: "+errs.UserText(why)
	if err := r.Store.CutRecording(ctx, of, entry(audit.Server, audit.RecordingEnd, of).Failing()); err != nil {
		return err
	}
	return why
}
