package rotation

import (
	"context"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Key is one key-encryption key and what needs it.
type Key struct {
	ID      string         `json:"id"`
	Primary bool           `json:"primary" doc:"It seals what is stored from now on"`
	Missing bool           `json:"missing,omitempty" doc:"Values need it and the server does not have it"`
	Values  int            `json:"values"`
	Tables  map[string]int `json:"tables,omitempty"`
}

// Keys are all keys and how far the work is.
type Keys struct {
	Keys []Key `json:"keys"`
	Work State `json:"work"`
}

// List tells which keys there are and what needs them.
func (r *Rotation) List(ctx context.Context) (Keys, error) {
	uses, err := r.Store.Uses(ctx)
	if err != nil {
		return Keys{}, errs.Wrap("rotation: list", err)
	}
	r.mu.Lock()
	listed := Keys{Work: r.state}
	r.mu.Unlock()
	place := map[secret.KeyID]int{}
	for i, id := range r.Keys.Keys() {
		place[id] = i
		listed.Keys = append(listed.Keys, Key{ID: id.String(), Primary: i == 0})
	}
	for _, u := range uses {
		id, ok := keyOf(u.Head)
		at, known := place[id]
		if !known {
			at = len(listed.Keys)
			place[id] = at
			listed.Keys = append(listed.Keys, Key{ID: id.String(), Missing: true})
		}
		if !ok {
			listed.Keys[at].Missing = true
		}
		k := &listed.Keys[at]
		if k.Tables == nil {
			k.Tables = map[string]int{}
		}
		k.Values += u.Values
		k.Tables[u.Table] += u.Values
	}
	return listed, nil
}

// keyOf reads the key's id of a head; ok is false for what is none, whose id is zero.
func keyOf(head []byte) (id secret.KeyID, ok bool) {
	if len(head) != 1+len(id) {
		return id, false
	}
	return secret.KeyID(head[1:]), true
}

// left counts the values that do not have the primary key in an envelope.
func (r *Rotation) left(ctx context.Context) (left int, err error) {
	uses, err := r.Store.Uses(ctx)
	head := string(secret.EnvelopeHead(r.Keys.Primary()))
	for _, u := range uses {
		if string(u.Head) != head {
			left += u.Values
		}
	}
	return left, err
}

// work goes over the tables until nothing is left that can be done.
func (r *Rotation) work(ctx context.Context, by audit.Actor) error {
	total, err := r.left(ctx)
	if err != nil || total == 0 {
		r.rest()
		return err
	}
	state := State{Running: true, Total: total}
	r.set(state)
	primary := r.Keys.Primary()
	for range maxPasses {
		done := state.Done
		state.Failed = 0
		err = r.Store.Rewrap(ctx, primary, batchSize, r.Keys.Rewrap, func(b Batch) {
			state.Done += b.Done
			state.Failed += b.Failed
			r.set(state)
		})
		if err != nil || state.Done+state.Failed >= total || state.Done == done {
			break
		}
	}
	state.Running = false
	r.set(state)
	if state.Done > 0 {
		entry := audit.New(by, audit.SecretsRewrap, 0, asset(primary)).Changed(nil, state)
		if errRecord := r.Audit.Record(ctx, entry); errRecord != nil && err == nil {
			err = errRecord
		}
	}
	if state.Failed > 0 {
		r.Log.WarnContext(ctx, "stored secrets cannot be opened: a key is missing or they were altered", logkey.Count, state.Failed)
	}
	return err
}

// rest keeps what the last work came to.
func (r *Rotation) rest() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Running = false
}

func (r *Rotation) set(s State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = s
}

// Drop takes a key away that nothing stored needs.
func (r *Rotation) Drop(ctx context.Context, by audit.Actor, text string) error {
	id, err := secret.ParseKeyID(text)
	if err != nil {
		return errs.E(wire.Invalid, "%v", err)
	}
	if r.Source == nil {
		return errs.E(wire.Conflict, "the keys come from a credential of the system: take the key out there, and start the server again")
	}
	listed, err := r.List(ctx)
	if err != nil {
		return err
	}
	if err := r.droppable(listed, id); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.Audit.Record(ctx, audit.New(by, audit.SecretsDrop, 0, asset(id))); err != nil {
		return errs.Wrap("rotation: drop key", err)
	}
	kept, err := r.Source.Drop(id)
	if err != nil {
		return errs.As(wire.Unavailable, err, "the key file cannot be written")
	}
	r.Keys.Become(kept)
	return nil
}

// droppable says why a key must stay.
func (r *Rotation) droppable(listed Keys, id secret.KeyID) error {
	for _, k := range listed.Keys {
		switch {
		case k.ID != id.String():
		case k.Primary:
			return errs.E(wire.Conflict, "key %s seals what is stored from now on: make a new one first, with: bulkhead keys rotate", id)
		case k.Missing:
			return errs.E(wire.Conflict, "the server does not have the key %s, and %d values need it", id, k.Values)
		case k.Values > 0:
			return errs.E(wire.Conflict, "%d values need the key %s: finish with: bulkhead keys rotate --keep-key", k.Values, id)
		default:
			return r.settled()
		}
	}
	return errs.E(wire.NotFound, "no such key")
}

// settled keeps a key for requests that began before there was a newer one.
func (r *Rotation) settled() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if wait := settle - r.Now().Sub(r.changed); wait > 0 {
		return errs.E(wire.Conflict, "requests that are being done may need the key still: try again in %d s", int(wait.Seconds())+1)
	}
	return nil
}
