package pages

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bulkhead/backend/account"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Terminals are shells on devices, for who may open them. What somebody may not see does not exist to them.
type Terminals interface {
	// Devices lists those on which somebody may open a shell, and tells whether there are more.
	Devices(ctx context.Context, by account.Principal) (list []TerminalDevice, more bool, err error)
	// Offer tells how a device would serve a shell.
	Offer(ctx context.Context, by account.Principal, project, device string) (TerminalOffer, error)
	Request(ctx context.Context, by account.Principal, from account.Client, d TerminalDevice, q TerminalRequest) (Terminal, error)
	// Find finds what somebody has asked for themselves.
	Find(ctx context.Context, by account.Principal, id string) (Terminal, error)
	End(ctx context.Context, by account.Principal, from account.Client, id string) error
}

// TerminalDevice is a device on which somebody may open a shell.
type TerminalDevice struct {
	Project, Name string
	Here          bool // it is connected
}

func (d TerminalDevice) String() string { return d.Project + "/" + d.Name }

// Path is where one opens a terminal on it.
func (d TerminalDevice) Path() string {
	return "/terminal/" + url.PathEscape(d.Project) + "/" + url.PathEscape(d.Name)
}

// TerminalOffer is how a device would serve a shell.
type TerminalOffer struct {
	Device   TerminalDevice
	User     string // as whom; "" where the device did not say
	Recorded bool   // it or the project demands that
	Approval bool   // the project wants somebody else's
	Refusal  string // why it would not, for people; "" where it would
}

// TerminalRequest is what somebody asks for.
type TerminalRequest struct {
	TTL    time.Duration
	Reason string
	Record bool
}

// TerminalState is how far a terminal has come.
type TerminalState int

// The states.
const (
	TerminalEnded   TerminalState = iota
	TerminalWaiting               // for an approval
	TerminalReady                 // to be opened
	TerminalOpen
)

// Terminal is a shell that somebody has asked for.
type Terminal struct {
	ID     string
	Device TerminalDevice
	State  TerminalState
	Asked  time.Time
	Ended  string // why, for people
}

// Path is that of its page.
func (t Terminal) Path() string { return "/terminal/" + url.PathEscape(t.ID) }

type (
	terminalsBody struct {
		Devices []TerminalDevice
		More    bool
	}
	askBody struct {
		TerminalOffer
		Path, Reason string
		Record       bool
		Times        []timeOption
	}
	timeOption struct {
		Minutes int
		Text    string
		Chosen  bool
	}
	terminalBody struct {
		ID, Path, Device, Again, Text string
		Open, Looks                   bool
		Socket, Ticket, Nonce         string
	}
)

func (p *Pages) terminals(w http.ResponseWriter, r *request) error {
	list, more, err := p.Terminals.Devices(r.Context(), r.by)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, "terminals", view{
		Title: "Terminals", Wide: true, Here: "terminals", Notice: notices[r.URL.Query().Get("done")], Body: terminalsBody{list, more},
	})
}

func (p *Pages) askTerminal(w http.ResponseWriter, r *request) error { return p.showAsk(w, r, nil) }

// showAsk says what would be opened, and shows the form as it was sent where there is a fault in it.
func (p *Pages) showAsk(w http.ResponseWriter, r *request, fault error) error {
	status, problem, err := p.inForm(r, "open terminal", fault)
	if err != nil {
		return err
	}
	offer, err := p.Terminals.Offer(r.Context(), r.by, r.PathValue("project"), r.PathValue("device"))
	if err != nil {
		return err
	}
	offer.Refusal = sentence(offer.Refusal)
	return p.show(w, r, status, "ask", view{
		Title: "Terminal on " + offer.Device.String(), Wide: true, Here: "terminals", Problem: problem,
		Body: askBody{TerminalOffer: offer, Path: offer.Device.Path(), Reason: r.PostForm.Get("reason"), Record: r.PostForm.Get("record") == "yes", Times: timeOptions(r.PostForm.Get("minutes"))},
	})
}

var terminalTimes = []struct {
	minutes int
	text    string
}{{15, "15 minutes"}, {60, "an hour"}, {240, "4 hours"}, {480, "8 hours"}}

const defaultMinutes = 60

func timeOptions(chosen string) []timeOption {
	minutes, err := strconv.Atoi(chosen)
	if err != nil {
		minutes = defaultMinutes
	}
	options := make([]timeOption, len(terminalTimes))
	for i, t := range terminalTimes {
		options[i] = timeOption{t.minutes, t.text, t.minutes == minutes}
	}
	return options
}

// openTerminal asks for a terminal. It is opened by its page, once it may be.
func (p *Pages) openTerminal(w http.ResponseWriter, r *request) error {
	q, err := terminalRequest(r)
	if err != nil {
		return p.showAsk(w, r, err)
	}
	offer, err := p.Terminals.Offer(r.Context(), r.by, r.PathValue("project"), r.PathValue("device"))
	if err != nil {
		return err
	}
	t, err := p.Terminals.Request(r.Context(), r.by, r.client, offer.Device, q)
	if err != nil {
		return p.showAsk(w, r, err)
	}
	return goOn(w, t.Path())
}

func terminalRequest(r *request) (TerminalRequest, error) {
	minutes, err := strconv.Atoi(r.PostForm.Get("minutes"))
	if err != nil || minutes < 1 || minutes > 480 {
		return TerminalRequest{}, errs.E(wire.Invalid, "a terminal is open for one minute to eight hours")
	}
	if r.PostForm.Get("readable") != "yes" {
		return TerminalRequest{}, errs.E(wire.Invalid, "say that you know that this server can read what is typed and shown")
	}
	return TerminalRequest{
		TTL: time.Duration(minutes) * time.Minute, Reason: strings.TrimSpace(r.PostForm.Get("reason")), Record: r.PostForm.Get("record") == "yes",
	}, nil
}

// lookAgain is how many seconds pass until the page that waits for an approval looks again; after lookFor it does not any
// more, or it would keep a login alive of which nobody makes use.
const (
	lookAgain = "4"
	lookFor   = 25 * time.Minute
)

// terminal is the page of one terminal, whatever has become of it.
func (p *Pages) terminal(w http.ResponseWriter, r *request) error {
	t, err := p.Terminals.Find(r.Context(), r.by, r.PathValue("id"))
	if err != nil {
		return err
	}
	body := terminalBody{ID: t.ID, Path: t.Path(), Device: t.Device.String(), Again: t.Device.Path()}
	switch t.State {
	case TerminalWaiting:
		if body.Looks = p.Now().Sub(t.Asked) < lookFor; body.Looks {
			w.Header().Set("Refresh", lookAgain)
		}
		return p.show(w, r, http.StatusOK, "wait", view{Title: "Waiting for an approval", Wide: true, Here: "terminals", Body: body})
	case TerminalReady:
		return p.showTerminal(w, r, t, body)
	case TerminalOpen:
		body.Open, body.Text = true, "It is open in another page, or in one that was left. A terminal belongs to one page."
		return p.show(w, r, http.StatusOK, "ended", view{Title: "The terminal is open elsewhere", Wide: true, Here: "terminals", Body: body})
	default:
		body.Text = sentence(t.Ended)
		return p.show(w, r, http.StatusOK, "ended", view{Title: "The terminal has ended", Wide: true, Here: "terminals", Body: body})
	}
}

// showTerminal shows the terminal, with a ticket that opens it once. Who has waited long shows the second factor again first.
func (p *Pages) showTerminal(w http.ResponseWriter, r *request, t Terminal, body terminalBody) error {
	if !r.by.Fresh(p.Now()) {
		return goOn(w, withTo("/login/second-factor", t.Path()))
	}
	var err error
	if body.Ticket, err = p.tickets.issue(r.by.Login, t.ID); err != nil {
		return err
	}
	body.Socket, body.Nonce = wire.TerminalPath, rand.Text()
	w.Header().Set("Content-Security-Policy", terminalPolicy(body.Nonce))
	return p.show(w, r, http.StatusOK, "terminal", view{Title: t.Device.String(), Wide: true, Here: "terminals", Body: body})
}

// terminalPolicy lets the one page that needs scripts load ours, make the style elements that are marked with the nonce, and
// connect to this server.
func terminalPolicy(nonce string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-" + nonce + "'; connect-src 'self'; img-src 'self' data:; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
}

func (p *Pages) endTerminal(w http.ResponseWriter, r *request) error {
	if err := p.Terminals.End(r.Context(), r.by, r.client, r.PathValue("id")); err != nil {
		return err
	}
	return goOn(w, "/terminal?done=terminal")
}

// Visitor finds out who asks for something else than a page, by the same cookie. Whoever has not shown both factors is
// nobody.
func (p *Pages) Visitor(plain *http.Request) (account.Principal, account.Client, error) {
	r := &request{Request: plain, client: clientOf(plain)}
	if err := p.identify(r); err != nil {
		return account.Principal{}, r.client, err
	}
	if !r.by.Valid() || r.by.Level < account.AAL2 {
		return account.Principal{}, r.client, errs.E(wire.Unauthenticated, "you are not logged in")
	}
	return r.by, r.client, nil
}

// Redeem gives the terminal that a ticket opens for the holder of that login.
func (p *Pages) Redeem(by account.Principal, ticket string) (id string, err error) {
	return p.tickets.redeem(by.Login, ticket)
}

// Foreign puts on record that another site's page has asked for something in somebody's name.
func (p *Pages) Foreign(plain *http.Request) {
	p.noteForeign(&request{Request: plain, client: clientOf(plain)})
}
