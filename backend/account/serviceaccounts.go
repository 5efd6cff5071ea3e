package account

import (
	"context"
	"strings"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// ServiceAccount is a program that acts with API keys of its own. Nobody logs in as one.
type ServiceAccount struct {
	Key       wire.Key  `json:"key"`
	Name      string    `json:"name"`
	Project   wire.Key  `json:"project_key,omitempty"` // 0: the platform's
	Owner     bool      `json:"owner"`
	Suspended bool      `json:"suspended"`
	Bootstrap bool      `json:"bootstrap"` // the one that a new server makes
	CreatedAt time.Time `json:"created_at"`
}

// Holder gives the service account as the holder of API keys.
func (a ServiceAccount) Holder() Holder {
	return Holder{Kind: KindServiceAccount, Key: a.Key, Name: a.Name, Owner: a.Owner, Suspended: a.Suspended}
}

func (a ServiceAccount) asset() audit.Asset {
	return audit.Asset{Kind: "service_account", Key: a.Key, Name: a.Name}
}

// ServiceAccountStore keeps service accounts. What changes one writes the audit entry in the same transaction.
type ServiceAccountStore interface {
	// FindServiceAccounts gives at most two whose key or name is text, the one by key first.
	FindServiceAccounts(ctx context.Context, text string) ([]ServiceAccount, error)
	ServiceAccounts(ctx context.Context, after wire.Key, limit int) ([]ServiceAccount, error)
	InsertServiceAccount(ctx context.Context, a ServiceAccount, e audit.Entry) error
	SuspendServiceAccount(ctx context.Context, key wire.Key, suspended bool, e audit.Entry) error
	// DeleteServiceAccount deletes a service account with its keys, and gives the ids of all that there were: none is made meanwhile.
	DeleteServiceAccount(ctx context.Context, key wire.Key, e audit.Entry) (keys []string, err error)
}

// ServiceAccounts makes and changes service accounts. Make one with NewServiceAccounts.
type ServiceAccounts struct {
	store ServiceAccountStore
	keys  *Keys
	now   func() time.Time
}

// NewServiceAccounts makes ServiceAccounts; what their keys have opened is ended through keys.
func NewServiceAccounts(store ServiceAccountStore, keys *Keys, now func() time.Time) *ServiceAccounts {
	return &ServiceAccounts{store: store, keys: keys, now: now}
}

// Create makes a service account, of a project where project is not 0.
func (s *ServiceAccounts) Create(ctx context.Context, actor audit.Actor, name string, project wire.Key) (ServiceAccount, error) {
	if name == "" || cut(strings.Map(printable, name), 100) != name || strings.TrimSpace(name) != name {
		return ServiceAccount{}, errs.E(wire.Invalid, "a service account has a name of 1 to 100 characters that can be printed, without spaces around it")
	}
	a := ServiceAccount{Key: wire.NewKey(), Name: name, Project: project, CreatedAt: s.now().UTC().Truncate(time.Microsecond)}
	err := s.store.InsertServiceAccount(ctx, a, audit.New(actor, audit.ServiceAccountCreate, project, a.asset()).Changed(nil, a))
	return a, errs.Wrap("account: create service account", err)
}

// Find gives the one service account whose key or name is text.
func (s *ServiceAccounts) Find(ctx context.Context, text string) (ServiceAccount, error) {
	found, err := s.store.FindServiceAccounts(ctx, text)
	switch {
	case err != nil:
		return ServiceAccount{}, errs.Wrap("account: find service account", err)
	case len(found) == 0:
		return ServiceAccount{}, errs.E(wire.NotFound, "no such service account")
	case len(found) > 1 && found[0].Key.String() != text:
		return ServiceAccount{}, errs.E(wire.Conflict, "several service accounts are called that: name one by its key")
	default:
		return found[0], nil
	}
}

// List gives service accounts in the order of their keys, from the one after after.
func (s *ServiceAccounts) List(ctx context.Context, after wire.Key, limit int) ([]ServiceAccount, error) {
	found, err := s.store.ServiceAccounts(ctx, after, limit)
	return found, errs.Wrap("account: list service accounts", err)
}

// Suspend keeps a service account's keys from opening anything, and ends what they have opened.
func (s *ServiceAccounts) Suspend(ctx context.Context, by Principal, actor audit.Actor, a ServiceAccount) error {
	if a.Key == by.Key {
		return errs.E(wire.Conflict, "you cannot suspend yourself")
	}
	return s.set(ctx, actor, audit.ServiceAccountSuspend, a, true)
}

// Resume lets a suspended service account in again.
func (s *ServiceAccounts) Resume(ctx context.Context, actor audit.Actor, a ServiceAccount) error {
	return s.set(ctx, actor, audit.ServiceAccountResume, a, false)
}

func (s *ServiceAccounts) set(ctx context.Context, actor audit.Actor, action audit.Action, a ServiceAccount, suspended bool) error {
	after := a
	after.Suspended = suspended
	entry := audit.New(actor, action, a.Project, a.asset()).Changed(a, after)
	if err := s.store.SuspendServiceAccount(ctx, a.Key, suspended, entry); err != nil {
		return errs.Wrap("account: change service account", err)
	}
	if !suspended {
		return s.keys.forgetOf(ctx, a.Key)
	}
	return s.keys.endOf(ctx, a.Key)
}

// Delete deletes a service account with its keys, and ends what they have opened.
func (s *ServiceAccounts) Delete(ctx context.Context, by Principal, actor audit.Actor, a ServiceAccount) error {
	if a.Key == by.Key || a.Bootstrap {
		return errs.E(wire.Conflict, "this service account cannot be deleted: revoke its keys")
	}
	entry := audit.New(actor, audit.ServiceAccountDelete, a.Project, a.asset()).Changed(a, nil)
	ids, err := s.store.DeleteServiceAccount(ctx, a.Key, entry)
	if err != nil {
		return errs.Wrap("account: delete service account", err)
	}
	s.keys.ended(ids)
	return nil
}
