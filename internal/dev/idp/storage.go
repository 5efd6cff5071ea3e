package idp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const tokenLife = 5 * time.Minute

// storage is what the library asks: about the users, the client, the key, and the logins that are under way.
type storage struct {
	refused
	config Config
	key    signingKey
	trips  *trips
}

var (
	_ op.Storage                   = (*storage)(nil)
	_ op.CanSetUserinfoFromRequest = (*storage)(nil)
)

func newStorage(c Config) (*storage, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &storage{config: c, key: signingKey{id: rand.Text(), key: private}, trips: newTrips(c.Now)}, err
}

// knows compares with all users, so that the time tells nothing.
func (s *storage) knows(name, password string) bool {
	found := 0
	for _, u := range s.config.Users {
		found |= subtle.ConstantTimeCompare([]byte(u.Name), []byte(name)) & subtle.ConstantTimeCompare(u.Password.Reveal(), []byte(password))
	}
	return found == 1
}

var (
	errOver     = errors.New("no such login is under way")
	errStranger = errors.New("no such client, or another secret")
)

func (s *storage) CreateAuthRequest(_ context.Context, asked *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	made, ok := s.trips.begin(*asked)
	if !ok {
		return nil, oidc.ErrServerError().WithDescription("too many logins are under way: try again in ten minutes")
	}
	return made, nil
}

func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	if !s.trips.file(id, code) {
		return errOver
	}
	return nil
}

func (s *storage) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	found, ok := s.trips.redeem(code)
	if !ok {
		return nil, errOver
	}
	return found, nil
}

// DeleteAuthRequest has nothing to do: a trip went when its code was redeemed.
func (s *storage) DeleteAuthRequest(context.Context, string) error { return nil }

// CreateAccessToken gives one that opens nothing: the users are described in the ID token.
func (s *storage) CreateAccessToken(context.Context, op.TokenRequest) (string, time.Time, error) {
	return rand.Text(), s.config.Now().Add(tokenLife), nil
}

func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != s.config.ClientID {
		return nil, errStranger
	}
	return client{s.config}, nil
}

func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, password string) error {
	if id != s.config.ClientID || subtle.ConstantTimeCompare([]byte(password), s.config.ClientSecret.Reveal()) != 1 {
		return errStranger
	}
	return nil
}

// SetUserinfoFromRequest says in the ID token who the user is, as far as the client asked.
func (s *storage) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, r op.IDTokenRequest, asked []string) error {
	i := slices.IndexFunc(s.config.Users, func(u User) bool { return u.Name == r.GetSubject() })
	if i < 0 {
		return errOver
	}
	u := s.config.Users[i]
	info.Subject = u.Name // what is empty here takes the place of the library's own
	if slices.Contains(asked, oidc.ScopeProfile) {
		info.Name = u.FullName
	}
	if slices.Contains(asked, oidc.ScopeEmail) {
		info.Email, info.EmailVerified = u.Email, true
	}
	return nil
}

func (s *storage) SigningKey(context.Context) (op.SigningKey, error) { return s.key, nil }
func (s *storage) KeySet(context.Context) ([]op.Key, error)          { return []op.Key{publicKey{s.key}}, nil }
func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

// signingKey and publicKey are the halves of the key that signs ID tokens, until the next start.
type signingKey struct {
	id  string
	key *ecdsa.PrivateKey
}

func (k signingKey) ID() string                                { return k.id }
func (k signingKey) Key() any                                  { return k.key }
func (signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }

type publicKey struct{ half signingKey }

func (k publicKey) ID() string                       { return k.half.id }
func (k publicKey) Key() any                         { return k.half.key.Public() }
func (publicKey) Algorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (publicKey) Use() string                        { return "sig" }
