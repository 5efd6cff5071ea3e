// Package audit describes what was done, by whom and to what, for the record that is kept beside every change.
//
// It promises that an entry which passes Check says who, what, to which asset and how it ended, that actions are words of
// one list with one severity each, and that an entry carries no secret: what it tells of a thing before and after is
// given by its caller as values that do not print secrets.
package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bulkhead/wire"
)

// Version is the version of the entries that this program writes. Older ones stay as they are: see ParseLeaf.
const Version = 2

// Actor is who did something. The zero Actor is nobody, and nobody changes anything.
type Actor struct {
	Kind      ActorKind `json:"kind"`
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	Address   string    `json:"address,omitempty"` // where the request came from
	RequestID string    `json:"request_id,omitempty"`

	Issuer    string `json:"issuer,omitempty"`    // who vouches for the person; empty for those whom this server knows by itself
	Subject   string `json:"subject,omitempty"`   // the person's name at the issuer
	Session   string `json:"session,omitempty"`   // id of the login or of the API key that the request came with
	Assurance string `json:"assurance,omitempty"` // aal1 or aal2
}

// ActorKind tells what an actor is.
type ActorKind string

// The kinds of actor.
const (
	APIKey ActorKind = "apikey"
	System ActorKind = "system" // this server, of its own accord

	User           ActorKind = "user"
	ServiceAccount ActorKind = "service_account"
	Device         ActorKind = "device"    // by its serial
	Anonymous      ActorKind = "anonymous" // somebody who has not proved who it is: a failed login's ID is "unknown"
)

// Server is the actor of what the server does of its own accord, such as repairs at its start.
var Server = Actor{Kind: System, ID: "server"}

// Severity says how much attention an entry wants.
type Severity string

// The severities.
const (
	Info    Severity = "info"
	Notice  Severity = "notice"
	Warning Severity = "warning"
)

// Outcome is how an action ended.
type Outcome string

// The outcomes.
const (
	Done   Outcome = "done"
	Failed Outcome = "failed"
)

// Asset is what an action was done to.
type Asset struct {
	Kind string   `json:"kind"`
	Key  wire.Key `json:"key,omitempty"` // zero where the thing has no key
	Name string   `json:"name,omitempty"`
}

// Entry is one record of the log. Sequence and Time are given by the database when the entry is kept.
type Entry struct {
	Version  int             `json:"version"`
	Sequence int64           `json:"sequence"`
	Time     time.Time       `json:"time"`
	Actor    Actor           `json:"actor"`
	Action   Action          `json:"action"`
	Severity Severity        `json:"severity"`
	Project  wire.Key        `json:"project_key,omitempty"` // zero for what belongs to no project
	Asset    Asset           `json:"asset"`
	Before   json.RawMessage `json:"before,omitempty"`
	After    json.RawMessage `json:"after,omitempty"`
	Outcome  Outcome         `json:"outcome"`
}

// New makes the entry of an action that is done when the transaction commits which it is written in.
func New(by Actor, action Action, project wire.Key, on Asset) Entry {
	return Entry{
		Version: Version, Actor: by, Action: action, Severity: severities[action],
		Project: project, Asset: on, Outcome: Done,
	}
}

// Changed adds what the asset was before and is after; nil stands for "it was not" or "it is no more". What cannot be
// told as JSON is a mistake of the program and shows in the entry as such.
func (e Entry) Changed(before, after any) Entry {
	e.Before, e.After = tell(before), tell(after)
	return e
}

// Failing marks the entry as one of an action that was undone.
func (e Entry) Failing() Entry {
	e.Outcome, e.Severity = Failed, Warning
	return e
}

func tell(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage(`"cannot be told as JSON"`)
	}
	return text
}

// Check reports what is missing in an entry. An entry that fails is not kept, and so its change does not happen.
func (e Entry) Check() error {
	switch {
	case e.Version != Version:
		return fmt.Errorf("audit: version is %d, want %d", e.Version, Version)
	case e.Actor.Kind == "" || e.Actor.ID == "":
		return errors.New("audit: nobody did it")
	case e.Project != 0 && !e.Project.Valid():
		return errors.New("audit: the project has no possible key")
	case severities[e.Action] == "":
		return fmt.Errorf("audit: no such action: %q", e.Action)
	case e.Severity == "" || e.Outcome == "" || e.Asset.Kind == "":
		return errors.New("audit: severity, outcome or asset is missing")
	default:
		return nil
	}
}

// Query selects entries, newest first. What is zero selects nothing out.
type Query struct {
	Project  wire.Key
	Actor    string // id of the actor
	Action   Action // or its beginning, where it ends with a dot or has none: device, device.
	Asset    string // kind, key or name
	Severity Severity
	Since    time.Time
	Until    time.Time
	Before   int64 // older than this sequence
	After    int64 // newer than this sequence
	Oldest   bool  // the oldest first
	Limit    int
}
