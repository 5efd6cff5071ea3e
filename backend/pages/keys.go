package pages

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Keys makes, lists and revokes API keys; see account.Keys.
type Keys interface {
	Create(ctx context.Context, by account.Principal, actor audit.Actor, q account.KeyRequest) (account.Record, secret.Value, error)
	Find(ctx context.Context, id string) (account.Record, error)
	List(ctx context.Context, holder wire.Key, after string, limit int) ([]account.Record, error)
	Revoke(ctx context.Context, by audit.Actor, id string) error
}

// maxKeys is how many keys the page shows; the command line lists all.
const maxKeys = 200

type (
	keysBody struct {
		Keys   []keyLine
		Name   string
		Lives  []lifeOption
		Groups []flagGroup
	}
	keyLine struct {
		ID, Name               string
		Scopes                 []string
		Expires, Used          time.Time
		Live, Revoked, Expired bool
	}
	lifeOption struct {
		Days   int
		Text   string
		Chosen bool
	}
	flagGroup struct {
		Title string
		Open  bool
		Flags []flagLine
	}
	flagLine struct {
		Flag   wire.Flag
		Text   string
		Fresh  bool
		Chosen bool
	}
	keyBody struct{ Name, Key string }
)

func (p *Pages) keys(w http.ResponseWriter, r *request) error { return p.showKeys(w, r, nil) }

// showKeys shows the keys, and the form as it was sent where there is a fault in it.
func (p *Pages) showKeys(w http.ResponseWriter, r *request, fault error) error {
	status, problem, err := p.inForm(r, "make key", fault)
	if err != nil {
		return err
	}
	records, err := p.Keys.List(r.Context(), r.by.Key, "", maxKeys)
	if err != nil {
		return err
	}
	body := keysBody{Name: r.PostForm.Get("name"), Lives: lifeOptions(r.PostForm.Get("days")), Groups: flagGroups(r.PostForm["scope"])}
	now := p.Now()
	for _, k := range records {
		body.Keys = append(body.Keys, keyLineOf(k, now))
	}
	slices.SortStableFunc(body.Keys, func(a, b keyLine) int {
		if a.Live != b.Live {
			if a.Live {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return p.show(w, r, status, "keys", view{
		Title: "API keys", Wide: true, Here: "keys", Problem: problem, Notice: notices[r.URL.Query().Get("done")], Body: body,
	})
}

func keyLineOf(k account.Record, now time.Time) keyLine {
	line := keyLine{
		ID: k.ID, Name: k.Name, Expires: k.ExpiresAt, Used: k.LastUsedAt, Live: k.Live(now), Revoked: !k.RevokedAt.IsZero(), Expired: !now.Before(k.ExpiresAt),
	}
	for _, s := range k.Scopes {
		if s == account.AllScopes {
			line.Scopes = append(line.Scopes, "everything")
		} else {
			line.Scopes = append(line.Scopes, string(s))
		}
	}
	return line
}

var lives = []struct {
	days int
	text string
}{{7, "a week"}, {30, "30 days"}, {90, "90 days"}, {365, "a year"}}

const defaultDays = 90

func lifeOptions(chosen string) []lifeOption {
	days, err := strconv.Atoi(chosen)
	if err != nil {
		days = defaultDays
	}
	options := make([]lifeOption, len(lives))
	for i, l := range lives {
		options[i] = lifeOption{l.days, l.text, l.days == days}
	}
	return options
}

// groupTitles are the kinds of asset as the page names them; what has none is not offered.
var groupTitles = []struct {
	kind  wire.AssetKind
	title string
}{
	{wire.AssetProject, "Projects"}, {wire.AssetDevice, "Devices"}, {wire.AssetGroup, "Groups of devices"}, {wire.AssetApp, "Apps"},
	{wire.AssetDashboard, "Dashboards"}, {wire.AssetDataBackend, "Data"}, {wire.AssetPlatform, "This server"}, {wire.AssetSelf, "Oneself"},
}

func flagGroups(chosen []string) []flagGroup {
	groups := make([]flagGroup, 0, len(groupTitles))
	for i, t := range groupTitles {
		g := flagGroup{Title: t.title, Open: i == 0}
		for _, c := range wire.Catalogue {
			if c.Flag.Kind() != t.kind {
				continue
			}
			line := flagLine{Flag: c.Flag, Text: sentenceStart(c.May), Fresh: c.Fresh, Chosen: slices.Contains(chosen, string(c.Flag))}
			g.Open = g.Open || line.Chosen
			g.Flags = append(g.Flags, line)
		}
		groups = append(groups, g)
	}
	return groups
}

func sentenceStart(text string) string { return strings.TrimSuffix(sentence(text), ".") }

func (p *Pages) createKey(w http.ResponseWriter, r *request) error {
	q, err := p.keyRequest(r)
	if err != nil {
		return p.showKeys(w, r, err)
	}
	record, text, err := p.Keys.Create(r.Context(), r.by, r.by.Actor(r.client), q)
	if err != nil {
		return p.showKeys(w, r, err)
	}
	return p.show(w, r, http.StatusOK, "key", view{
		Title: "Your new API key", Wide: true, Here: "keys", Body: keyBody{Name: record.Name, Key: string(text.Reveal())},
	})
}

// keyRequest reads a key for whoever asks; a key for somebody else is not made here.
func (p *Pages) keyRequest(r *request) (account.KeyRequest, error) {
	days, err := strconv.Atoi(r.PostForm.Get("days"))
	if err != nil || days < 1 || days > 365 {
		return account.KeyRequest{}, errs.E(wire.Invalid, "an API key lives from a day to a year")
	}
	q := account.KeyRequest{
		Holder: account.Holder{Kind: r.by.Kind, Key: r.by.Key, Name: r.by.Name, Owner: r.by.Owner},
		Name:   strings.TrimSpace(r.PostForm.Get("name")), Life: time.Duration(days) * 24 * time.Hour,
	}
	for _, text := range r.PostForm["scope"] {
		flag := wire.Flag(text)
		if !flag.Known() {
			return account.KeyRequest{}, errs.E(wire.Invalid, "there is no such privilege")
		}
		if !slices.Contains(q.Scopes, flag) {
			q.Scopes = append(q.Scopes, flag)
		}
	}
	if len(q.Scopes) == 0 {
		return account.KeyRequest{}, errs.E(wire.Invalid, "choose at least one thing that the key may do")
	}
	return q, nil
}

// revokeKey ends a key of whoever asks. Another's answers as one that does not exist.
func (p *Pages) revokeKey(w http.ResponseWriter, r *request) error {
	record, err := p.Keys.Find(r.Context(), r.PostForm.Get("id"))
	if err != nil {
		return err
	}
	if record.Holder.Key != r.by.Key {
		return errs.E(wire.NotFound, "no such API key")
	}
	if err := p.Keys.Revoke(r.Context(), r.by.Actor(r.client), record.ID); err != nil {
		return err
	}
	return goOn(w, "/account/keys?done=revoked")
}
