package audit

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bulkhead/wire"
)

// MaxLeaf is the size of the largest leaf: bundles of entries give its length in 16 bits.
const MaxLeaf = 1<<16 - 1

// maxTold leaves room in a leaf for all but before and after; what is larger is told by its digest.
const maxTold = 24 << 10

// leafForm is what a leaf has in it, in every version so far. Version 2 is what this program writes: version, sequence and
// time, which the database gives, then the other members in the order of their names. Version 1 is what older databases had
// before there was a log; its before and after are as they were stored.
type leafForm struct {
	Version   int             `json:"version"`
	Sequence  int64           `json:"sequence"`
	Time      time.Time       `json:"time"`
	Action    Action          `json:"action"`
	Actor     actorForm       `json:"actor"`
	After     json.RawMessage `json:"after,omitempty"`
	Asset     Asset           `json:"asset"`
	Before    json.RawMessage `json:"before,omitempty"`
	Outcome   Outcome         `json:"outcome"`
	Personal  string          `json:"personal,omitempty"`
	Project   wire.Key        `json:"project_key,omitempty"`
	RequestID string          `json:"request_id,omitempty"`
	Severity  Severity        `json:"severity"`
}

type actorForm struct {
	Assurance string    `json:"assurance,omitempty"`
	ID        string    `json:"id"`
	Kind      ActorKind `json:"kind"`
	Session   string    `json:"session,omitempty"`
}

// personalForm is what is kept beside a leaf, so that it can be erased.
type personalForm struct {
	Actor  *personalActor  `json:"actor,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	Asset  *personalAsset  `json:"asset,omitempty"`
	Before json.RawMessage `json:"before,omitempty"`
}

type personalActor struct {
	Address string `json:"address,omitempty"`
	Issuer  string `json:"issuer,omitempty"`
	Name    string `json:"name,omitempty"`
	Subject string `json:"subject,omitempty"`
}

type personalAsset struct {
	Name string `json:"name,omitempty"`
}

// personalMembers are the members of before and after that tell of a person, whatever the asset is.
var personalMembers = []string{"address", "addresses", "addr", "agent", "displayname", "email", "subject", "useragent", "username"}

// personalKinds are the kinds of asset whose names are people's.
var personalKinds = []string{"user", "member", "login", "person", "factor", "identity"}

// Personal is what is kept beside a leaf. The leaf has its commitment and stays as it is when this is erased.
type Personal struct {
	Salt []byte `json:"salt"`
	Data []byte `json:"data"`
}

// Commitment is what the leaf holds of personal data: nobody can guess the data from it without the salt.
func (p Personal) Commitment() string {
	sum := sha256.Sum256(append(slices.Clip(p.Salt), p.Data...))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// bodyForm is a leaf without what the database gives: members in the order of their names.
type bodyForm struct {
	Action    Action          `json:"action"`
	Actor     actorForm       `json:"actor"`
	After     json.RawMessage `json:"after,omitempty"`
	Asset     assetForm       `json:"asset"`
	Before    json.RawMessage `json:"before,omitempty"`
	Outcome   Outcome         `json:"outcome"`
	Personal  string          `json:"personal,omitempty"`
	Project   wire.Key        `json:"project_key,omitempty"`
	RequestID string          `json:"request_id,omitempty"`
	Severity  Severity        `json:"severity"`
}

type assetForm struct {
	Key  wire.Key `json:"key,omitempty"`
	Kind string   `json:"kind"`
	Name string   `json:"name,omitempty"`
}

// Filing is an entry as it is handed to the database. Columns are copies of members of the leaf, by which it is found.
type Filing struct {
	Body     []byte // the leaf but for version, sequence and time, which the database puts before it
	Actor    string
	Asset    Asset
	Personal Personal // zero where the entry tells of nobody
}

// File makes of an entry what is handed to the database.
func (e Entry) File() (f Filing, err error) {
	e = e.bounded()
	named := slices.Contains(personalKinds, e.Asset.Kind)
	var apart personalForm
	if by := (personalActor{kept(e.Actor.Address), kept(e.Actor.Issuer), kept(e.Actor.Name), kept(e.Actor.Subject)}); by != (personalActor{}) {
		apart.Actor = &by
	}
	f.Actor, f.Asset = kept(e.Actor.ID), Asset{kept(e.Asset.Kind), e.Asset.Key, kept(e.Asset.Name)}
	if named && f.Asset.Name != "" {
		apart.Asset, f.Asset.Name = &personalAsset{f.Asset.Name}, ""
	}
	form := bodyForm{
		Action: e.Action, Actor: actorForm{e.Actor.Assurance, f.Actor, e.Actor.Kind, kept(e.Actor.Session)},
		Asset: assetForm{f.Asset.Key, f.Asset.Kind, f.Asset.Name}, Outcome: e.Outcome, Project: e.Project,
		RequestID: kept(e.Actor.RequestID), Severity: e.Severity,
	}
	if form.Before, apart.Before, err = split(e.Before, named); err != nil {
		return f, err
	}
	if form.After, apart.After, err = split(e.After, named); err != nil {
		return f, err
	}
	if apart.Actor != nil || apart.Asset != nil || apart.Before != nil || apart.After != nil {
		f.Personal.Salt = make([]byte, 32)
		_, _ = rand.Read(f.Personal.Salt) // crypto/rand.Read never fails (Go 1.24 and later)
		if f.Personal.Data, err = canonical(apart); err != nil {
			return f, err
		}
		form.Personal = f.Personal.Commitment()
	}
	f.Body, err = canonical(form)
	return f, err
}

// bounded tells what is too large for a leaf by its digest.
func (e Entry) bounded() Entry {
	for _, told := range []*json.RawMessage{&e.Before, &e.After} {
		if len(*told) > maxTold {
			sum := sha256.Sum256(*told)
			*told = tell(map[string]any{"bytes": len(*told), "sha256": base64.StdEncoding.EncodeToString(sum[:])})
		}
	}
	return e
}

// split takes the members that tell of a person out of an object, and gives both in canonical form.
func split(raw json.RawMessage, named bool) (rest, apart json.RawMessage, err error) {
	if len(raw) == 0 {
		return nil, nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var told any
	if err := decoder.Decode(&told); err != nil {
		return nil, nil, err
	}
	members, _ := told.(map[string]any)
	own := map[string]any{}
	for name, value := range members {
		plain := strings.ToLower(strings.ReplaceAll(name, "_", ""))
		if slices.Contains(personalMembers, plain) || named && (plain == "name" || plain == "title") {
			own[name] = value
			delete(members, name)
		}
	}
	if len(own) > 0 {
		if apart, err = canonical(storable(own)); err != nil {
			return nil, nil, err
		}
	}
	rest, err = canonical(storable(told))
	return rest, apart, err
}

// canonical gives as JSON what has its members in the order of their names: no space, nothing escaped that need not be, and
// numbers as they were written.
func canonical(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// kept is a string as PostgreSQL keeps it: what it cannot becomes U+FFFD.
func kept(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// storable is kept for all strings of a value.
func storable(v any) any {
	switch v := v.(type) {
	case string:
		return kept(v)
	case []any:
		for i := range v {
			v[i] = storable(v[i])
		}
	case map[string]any:
		for _, name := range slices.Collect(maps.Keys(v)) {
			value := storable(v[name])
			delete(v, name)
			v[kept(name)] = value
		}
	}
	return v
}

// Leaf is an entry as the log has it.
type Leaf struct {
	Entry
	Commitment string // of the personal data; empty where there is none
}

// ParseLeaf reads a leaf of any version that was ever written.
func ParseLeaf(text []byte) (Leaf, error) {
	var f leafForm
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		return Leaf{}, fmt.Errorf("audit: leaf: %w", err)
	}
	switch {
	case decoder.More():
		return Leaf{}, errors.New("audit: leaf: more than one value")
	case f.Version < 1 || f.Version > Version:
		return Leaf{}, fmt.Errorf("audit: leaf: version is %d, and this program knows up to %d", f.Version, Version)
	case f.Sequence < 1 || f.Time.IsZero() || f.Action == "" || f.Actor.ID == "" || f.Asset.Kind == "":
		return Leaf{}, errors.New("audit: leaf: sequence, time, action, actor or asset is missing")
	}
	return Leaf{Entry: Entry{
		Version: f.Version, Sequence: f.Sequence, Time: f.Time, Action: f.Action, Severity: f.Severity, Project: f.Project,
		Actor: Actor{Kind: f.Actor.Kind, ID: f.Actor.ID, RequestID: f.RequestID, Session: f.Actor.Session, Assurance: f.Actor.Assurance},
		Asset: f.Asset, Before: f.Before, After: f.After, Outcome: f.Outcome,
	}, Commitment: f.Personal}, nil
}

// With gives the entry with its personal data, where that is what the leaf committed to.
func (l Leaf) With(p Personal) (Entry, error) {
	if p.Commitment() != l.Commitment {
		return l.Entry, errors.New("audit: the personal data is not what the leaf committed to")
	}
	var apart personalForm
	if err := json.Unmarshal(p.Data, &apart); err != nil {
		return l.Entry, fmt.Errorf("audit: personal data: %w", err)
	}
	e := l.Entry
	if a := apart.Actor; a != nil {
		e.Actor.Address, e.Actor.Issuer, e.Actor.Name, e.Actor.Subject = a.Address, a.Issuer, a.Name, a.Subject
	}
	if apart.Asset != nil {
		e.Asset.Name = apart.Asset.Name
	}
	e.Before, e.After = join(e.Before, apart.Before), join(e.After, apart.After)
	return e, nil
}

func join(rest, apart json.RawMessage) json.RawMessage {
	var members, own map[string]json.RawMessage
	if json.Unmarshal(rest, &members) != nil || json.Unmarshal(apart, &own) != nil || members == nil {
		return rest
	}
	maps.Copy(members, own)
	return tell(members)
}
