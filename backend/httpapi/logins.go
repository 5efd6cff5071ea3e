package httpapi

import (
	"context"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bulkhead/backend/account"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// LoginCreate is a first factor of a local account.
type LoginCreate struct {
	Name     string `json:"name" minLength:"1" maxLength:"64"`
	Password string `json:"password" minLength:"1" maxLength:"1024"`
}

// LoginToken is a login with its token, which is shown this once.
type LoginToken struct {
	Login    Login  `json:"login"`
	Token    string `json:"token" doc:"For the header Authorization: Bearer; another one takes its place when a second factor is shown"`
	Enrolled bool   `json:"enrolled" doc:"Whether there is a second factor to show; if not, set one up"`
}

// Login is one that the caller has.
type Login struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind" enum:"browser,cli"`
	Level     string    `json:"level" enum:"aal1,aal2" doc:"aal1: a second factor is still to be shown"`
	FactorAt  time.Time `json:"factor_at,omitzero" doc:"When the second factor was shown"`
	CreatedAt time.Time `json:"created_at"`
	SeenAt    time.Time `json:"seen_at" doc:"To the minute"`
	ExpiresAt time.Time `json:"expires_at" doc:"At the latest; earlier where it is not used"`
	Address   string    `json:"address,omitempty"`
	Agent     string    `json:"agent,omitempty" doc:"What the program says of itself"`
	Current   bool      `json:"current" doc:"It is this request's"`
}

func loginOf(l account.Login, by account.Principal) Login {
	return Login{
		ID: l.ID, Kind: string(l.Kind), Level: l.Level.String(), FactorAt: l.FactorAt, CreatedAt: l.CreatedAt, SeenAt: l.SeenAt, ExpiresAt: l.Ends(),
		Address: l.Address, Agent: l.Agent, Current: by.Login == l.ID,
	}
}

// EnrolmentState tells whether the caller has a second factor.
type EnrolmentState struct {
	Enrolled bool `json:"enrolled"`
}

// EnrolmentSecret is a second factor that waits for its first right code.
type EnrolmentSecret struct {
	URI    string `json:"uri" doc:"For a QR code"`
	Secret string `json:"secret" doc:"For who types it"`
	PNG    string `json:"png" doc:"The QR code as an image, in base64"`
}

// FactorCode shows a second factor.
type FactorCode struct {
	Code string `json:"code" minLength:"6" maxLength:"60" doc:"Six digits, or a recovery code"`
}

// EnrolmentDone is a raised login with the recovery codes, which are shown this once.
type EnrolmentDone struct {
	LoginToken
	RecoveryCodes []string `json:"recovery_codes" doc:"Each works once, in place of six digits"`
}

type (
	loginInput  struct{ Body LoginCreate }
	factorInput struct {
		SelfPath
		Body FactorCode
	}
	loginPathInput struct {
		SelfPath
		Login string `path:"login" maxLength:"16" doc:"Id of a login"`
	}
)

func (a *API) registerLogins() {
	a.registerLogin()
	handle(a, route{method: http.MethodGet, path: "/login/enrolment", id: "get-enrolment", tag: "login", summary: "Tell whether you have a second factor", flag: wire.Self, first: true}, a.getEnrolment)
	handle(a, route{method: http.MethodPost, path: "/login/enrolment", id: "create-enrolment", tag: "login", summary: "Set up a second factor; its secret is shown this once", flag: wire.Self, first: true, status: http.StatusCreated}, a.createEnrolment)
	handle(a, route{method: http.MethodPost, path: "/login/enrolment/confirm", id: "confirm-enrolment", tag: "login", summary: "Show the first code of a second factor; recovery codes are shown this once", flag: wire.Self, first: true}, a.confirmEnrolment)
	handle(a, route{method: http.MethodPost, path: "/login/second-factor", id: "show-second-factor", tag: "login", summary: "Show the second factor, also again", flag: wire.Self, first: true}, a.secondFactor)
	handle(a, route{method: http.MethodGet, path: "/logins", id: "list-logins", tag: "login", summary: "List your logins", flag: wire.Self, first: true}, a.listLogins)
	handle(a, route{method: http.MethodDelete, path: "/logins/{login}", id: "end-login", tag: "login", summary: "End one of your logins, and what it has opened", flag: wire.Self, first: true}, a.endLogin)
}

// registerLogin registers the one operation that asks for nothing.
func (a *API) registerLogin() {
	op := route{method: http.MethodPost, path: "/login", id: "login", tag: "login", summary: "Log in with name and password; a second factor is to follow", flag: wire.Self}.operation()
	op.Security, op.Parameters = nil, nil
	huma.Register(a.huma, op, func(ctx context.Context, in *loginInput) (*reply[LoginToken], error) {
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		s, err := a.Logins.Password(ctx, requestOf(ctx).client(), account.LoginCLI, in.Body.Name, secret.FromString(in.Body.Password))
		if err == nil {
			var out LoginToken
			if out, err = a.tokenOf(ctx, s); err == nil {
				return &reply[LoginToken]{Body: out}, nil
			}
		}
		a.logged(ctx, op.OperationID, err)
		return nil, a.answerOf(ctx, err)
	})
}

func (a *API) tokenOf(ctx context.Context, s account.Session) (LoginToken, error) {
	by := account.Principal{Key: s.Login.User, Login: s.Login.ID}
	enrolled, err := a.Logins.Enrolled(ctx, by)
	return LoginToken{Login: loginOf(s.Login, by), Token: string(s.Token.Reveal()), Enrolled: enrolled}, err
}

func (a *API) getEnrolment(ctx context.Context, c caller, _ *SelfPath) (*reply[EnrolmentState], error) {
	enrolled, err := a.Logins.Enrolled(ctx, c.by)
	return &reply[EnrolmentState]{Body: EnrolmentState{enrolled}}, err
}

func (a *API) createEnrolment(ctx context.Context, c caller, _ *SelfPath) (*reply[EnrolmentSecret], error) {
	e, err := a.Logins.Enrol(ctx, c.client, c.by)
	if err != nil {
		return nil, err
	}
	return &reply[EnrolmentSecret]{Body: EnrolmentSecret{
		URI: string(e.URI.Reveal()), Secret: string(e.Secret.Reveal()), PNG: base64.StdEncoding.EncodeToString(e.PNG.Reveal()),
	}}, nil
}

func (a *API) confirmEnrolment(ctx context.Context, c caller, in *factorInput) (*reply[EnrolmentDone], error) {
	s, codes, err := a.Logins.ConfirmEnrolment(ctx, c.client, c.by, in.Body.Code)
	if err != nil {
		return nil, err
	}
	done := EnrolmentDone{LoginToken: LoginToken{Login: loginOf(s.Login, c.by), Token: string(s.Token.Reveal()), Enrolled: true}}
	for _, code := range codes {
		done.RecoveryCodes = append(done.RecoveryCodes, string(code.Reveal()))
	}
	return &reply[EnrolmentDone]{Body: done}, nil
}

func (a *API) secondFactor(ctx context.Context, c caller, in *factorInput) (*reply[LoginToken], error) {
	s, err := a.Logins.SecondFactor(ctx, c.client, c.by, in.Body.Code)
	if err != nil {
		return nil, err
	}
	return &reply[LoginToken]{Body: LoginToken{Login: loginOf(s.Login, c.by), Token: string(s.Token.Reveal()), Enrolled: true}}, nil
}

func (a *API) listLogins(ctx context.Context, c caller, _ *SelfPath) (*reply[List[Login]], error) {
	if err := mayLogins(c.by); err != nil {
		return nil, err
	}
	found, err := a.Logins.List(ctx, c.by)
	if err != nil {
		return nil, err
	}
	page := List[Login]{Items: []Login{}}
	for _, l := range found {
		page.Items = append(page.Items, loginOf(l, c.by))
	}
	return &reply[List[Login]]{Body: page}, nil
}

func (a *API) endLogin(ctx context.Context, c caller, in *loginPathInput) (*nothing, error) {
	if err := mayLogins(c.by); err != nil {
		return nil, err
	}
	return &nothing{}, a.Logins.End(ctx, c.client, c.by, in.Login)
}

// mayLogins refuses an API key that does not name the flag: one that leaks must not log its holder out.
func mayLogins(by account.Principal) error {
	if !by.InScope(wire.PlatformUsers) {
		return errs.E(wire.Denied, "the API key does not have the scope %s", wire.PlatformUsers)
	}
	return nil
}
