package account

import (
	"context"
	"slices"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// List gives the logins of the user; before the second factor, that login alone.
func (l *Logins) List(ctx context.Context, p Principal) ([]Login, error) {
	if !p.Valid() || p.Kind != KindUser {
		return nil, nil
	}
	all, err := l.ListOf(ctx, p.Key)
	if p.Level < AAL2 {
		all = slices.DeleteFunc(all, func(one Login) bool { return one.ID != p.Login })
	}
	return all, err
}

// ListOf gives the logins of a user that have not ended.
func (l *Logins) ListOf(ctx context.Context, user wire.Key) ([]Login, error) {
	all, err := l.Store.Logins(ctx, user)
	live := make([]Login, 0, len(all))
	for _, one := range all {
		if one.Live(l.Now()) {
			live = append(live, one)
		}
	}
	return live, errs.Wrap("account: list logins", err)
}

// End ends a login of the user's own.
func (l *Logins) End(ctx context.Context, c Client, p Principal, id string) error {
	return l.EndOf(ctx, p, p.Actor(c), p.Key, id)
}

// EndOf ends a login of a user: one's own, or anybody's by an owner.
func (l *Logins) EndOf(ctx context.Context, by Principal, actor audit.Actor, user wire.Key, id string) error {
	own := by.Key == user && (by.Level >= AAL2 || by.Login == id)
	if !own && !(by.Owner && by.Level >= AAL2) || !idForm.MatchString(id) {
		return errs.E(wire.NotFound, "no such login")
	}
	entry := audit.New(actor, audit.LoginEnd, 0, audit.Asset{Kind: "login", Name: id})
	err := l.Store.EndLogin(ctx, user, id, entry)
	l.seen.forget(id) // also when it is not known whether the change was made
	if err != nil {
		return errs.Wrap("account: end login", err)
	}
	l.ended(id)
	return nil
}

// EndAll ends the logins of the user but one, which may be none.
func (l *Logins) EndAll(ctx context.Context, c Client, p Principal, but string) error {
	if p.Level < AAL2 {
		return errs.E(wire.Denied, "show your second factor first")
	}
	entry := audit.New(p.Actor(c), audit.LoginEnd, 0, audit.Asset{Kind: "user", Key: p.Key, Name: p.Name})
	ended, err := l.Store.EndLogins(ctx, p.Key, but, entry)
	l.ended(ended...)
	return errs.Wrap("account: end logins", err)
}
