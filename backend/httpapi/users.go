package httpapi

import (
	"context"
	"net/http"
	"time"

	"bulkhead/backend/account"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// User is somebody who logs in.
type User struct {
	Key         wire.Key  `json:"key"`
	Name        string    `json:"name" doc:"To show; it names nobody"`
	Login       string    `json:"login,omitempty" doc:"Name to log in with, of a local account"`
	Issuer      string    `json:"issuer" doc:"Who vouches for the user; local: this server"`
	Subject     string    `json:"subject" doc:"The user's name at the issuer"`
	Email       string    `json:"email,omitempty" doc:"To show; it names nobody"`
	ProviderKey wire.Key  `json:"provider_key,omitempty"`
	ProjectKey  wire.Key  `json:"project_key,omitempty" doc:"Of the provider's project"`
	Owner       bool      `json:"owner" doc:"May administer the server"`
	Suspended   bool      `json:"suspended"`
	Enrolled    bool      `json:"enrolled" doc:"Has a second factor"`
	CreatedAt   time.Time `json:"created_at"`
}

func userOf(u account.User) User {
	shown := User{
		Key: u.Key, Name: u.Name, Issuer: u.Issuer, Subject: u.Subject, Email: u.Email, ProviderKey: u.Provider, ProjectKey: u.Project,
		Owner: u.Owner, Suspended: u.Suspended, Enrolled: u.Enrolled, CreatedAt: u.CreatedAt,
	}
	if u.Issuer == account.LocalIssuer {
		shown.Login = u.Subject
	}
	return shown
}

// UserCreate makes a local account.
type UserCreate struct {
	Login    string `json:"login" maxLength:"64" pattern:"^[a-z0-9][a-z0-9._@+-]*$" doc:"Name to log in with" example:"alice"`
	Name     string `json:"name,omitempty" maxLength:"200" doc:"To show; absent: the name to log in with"`
	Email    string `json:"email,omitempty" maxLength:"320"`
	Password string `json:"password" minLength:"12" maxLength:"1024"`
	Owner    bool   `json:"owner,omitempty" doc:"May administer the server"`
}

// UserOwner makes a user an owner of the platform, or no more one.
type UserOwner struct {
	Owner bool `json:"owner"`
}

// UserPassword is a local account's new password.
type UserPassword struct {
	Password string `json:"password" minLength:"12" maxLength:"1024"`
}

type (
	userCreateInput struct {
		PlatformPath
		Body UserCreate
	}
	// UserPath names a user in a path.
	UserPath struct {
		User  string `path:"user" maxLength:"320" doc:"Key, login name, name or e-mail address"`
		found account.User
	}
	userOwnerInput struct {
		UserPath
		Body UserOwner
	}
	userPasswordInput struct {
		UserPath
		Body UserPassword
	}
	ownPasswordInput struct {
		SelfPath
		Body UserPassword
	}
)

// target lets nobody learn who is a user but who may see them all.
func (p *UserPath) target(ctx context.Context, a *API) (_ Target, err error) {
	if !a.mayLookUp(ctx, wire.PlatformUsers) {
		return platform, nil
	}
	p.found, err = a.Users.Find(ctx, p.User)
	return platform, err
}

// mayLookUp reports whether the caller has a flag of the platform. Who lacks it is refused by admit, whatever there is.
func (a *API) mayLookUp(ctx context.Context, flag wire.Flag) bool {
	return a.Authorizer.May(ctx, requestOf(ctx).principal, flag, platform)
}

func (a *API) registerUsers() {
	const path, one = "/users", "/users/{user}"
	handle(a, route{method: http.MethodGet, path: path, id: "list-users", tag: "users", summary: "List users", flag: wire.PlatformUsers}, a.listUsers)
	handle(a, route{method: http.MethodPost, path: path, id: "create-user", tag: "users", summary: "Create a local account", flag: wire.PlatformUsers, status: http.StatusCreated}, a.createUser)
	handle(a, route{method: http.MethodGet, path: one, id: "get-user", tag: "users", summary: "Show a user", flag: wire.PlatformUsers}, a.getUser)
	handle(a, route{method: http.MethodPost, path: one + "/suspend", id: "suspend-user", tag: "users", summary: "Keep a user out, and end what it has open", flag: wire.PlatformUsers}, a.suspendUser)
	handle(a, route{method: http.MethodPost, path: one + "/resume", id: "resume-user", tag: "users", summary: "Let a suspended user in again", flag: wire.PlatformUsers}, a.resumeUser)
	handle(a, route{method: http.MethodPost, path: one + "/reset-factor", id: "reset-factor", tag: "users", summary: "Take away the second factor of who has lost it", flag: wire.PlatformUsers}, a.resetFactor)
	handle(a, route{method: http.MethodPost, path: one + "/owner", id: "set-owner", tag: "users", summary: "Make a user an owner of the platform, or no more one", flag: wire.PlatformUsers}, a.setOwner)
	handle(a, route{method: http.MethodPost, path: one + "/password", id: "set-password", tag: "users", summary: "Give a local account another password, and end its logins", flag: wire.PlatformUsers}, a.setPassword)
	handle(a, route{method: http.MethodPost, path: "/password", id: "set-own-password", tag: "users", summary: "Give your local account another password, and end your other logins", flag: wire.Self}, a.setOwnPassword)
}

func (a *API) listUsers(ctx context.Context, _ caller, in *listInput) (*reply[List[User]], error) {
	after, err := in.afterKey()
	if err != nil {
		return nil, err
	}
	found, err := a.Users.List(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := pageOf(found, in.Limit, func(u account.User) string { return u.Key.String() },
		func(u account.User) (User, bool) { return userOf(u), true })
	return &reply[List[User]]{Body: page}, nil
}

// afterKey is after for lists in the order of keys.
func (p Page) afterKey() (wire.Key, error) {
	text, err := p.after()
	if err != nil || text == "" {
		return 0, err
	}
	key, err := wire.ParseKey(text)
	return key, errs.As(wire.Invalid, err, "cursor: want what the page before gave as next")
}

func (a *API) createUser(ctx context.Context, c caller, in *userCreateInput) (*reply[User], error) {
	u, err := a.Users.Create(ctx, c.by, c.actor, account.UserRequest{
		Name: in.Body.Login, Shown: in.Body.Name, Email: in.Body.Email, Password: secret.FromString(in.Body.Password), Owner: in.Body.Owner,
	})
	if err != nil {
		return nil, err
	}
	return &reply[User]{Location: location("users", u.Key.String()), Body: userOf(u)}, nil
}

func (a *API) getUser(_ context.Context, _ caller, in *UserPath) (*reply[User], error) {
	return &reply[User]{Body: userOf(in.found)}, nil
}

func (a *API) suspendUser(ctx context.Context, c caller, in *UserPath) (*nothing, error) {
	return &nothing{}, a.Users.Suspend(ctx, c.by, c.actor, in.found)
}

func (a *API) resumeUser(ctx context.Context, c caller, in *UserPath) (*nothing, error) {
	return &nothing{}, a.Users.Resume(ctx, c.actor, in.found)
}

func (a *API) resetFactor(ctx context.Context, c caller, in *UserPath) (*nothing, error) {
	return &nothing{}, a.Users.ResetFactor(ctx, c.actor, in.found)
}

func (a *API) setOwner(ctx context.Context, c caller, in *userOwnerInput) (*nothing, error) {
	return &nothing{}, a.Users.SetOwner(ctx, c.by, c.actor, in.found, in.Body.Owner)
}

func (a *API) setPassword(ctx context.Context, c caller, in *userPasswordInput) (*nothing, error) {
	return &nothing{}, a.Users.SetPassword(ctx, c.by, c.actor, in.found, secret.FromString(in.Body.Password))
}

func (a *API) setOwnPassword(ctx context.Context, c caller, in *ownPasswordInput) (*nothing, error) {
	if c.by.Proof != account.ProofLogin {
		return nil, errs.E(wire.Denied, "this is for people who log in, not for API keys")
	}
	if !c.by.Fresh(a.Now()) {
		return nil, account.ErrStepUp
	}
	u, err := a.Users.Find(ctx, c.by.AuthID())
	if err != nil {
		return nil, err
	}
	return &nothing{}, a.Users.SetPassword(ctx, c.by, c.actor, u, secret.FromString(in.Body.Password))
}
