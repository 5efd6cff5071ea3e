package oidc

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"bulkhead/wire"
)

// What a provider says of itself is believed for a while, and that it does not answer for a short one: a provider that is
// down costs one request in that time, and no other provider anything.
const (
	knownFor    = 15 * time.Minute
	failedFor   = 3 * time.Second
	maxKnown    = 1000
	discoverFor = 2 * askTimeout
)

// metadata is what we read of a discovery document beside go-oidc.
type metadata struct {
	JWKS        string   `json:"jwks_uri"`
	EndSession  string   `json:"end_session_endpoint"`
	AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	SendsIssuer bool     `json:"authorization_response_iss_parameter_supported"`
}

// endpoints is a provider as it describes itself, ready to be used.
type endpoints struct {
	provider *goidc.Provider
	client   *http.Client
	verifier *goidc.IDTokenVerifier
	metadata metadata
	style    oauth2.AuthStyle
}

// directory remembers what providers say of themselves.
type directory struct {
	now func() time.Time

	mu    sync.Mutex // guards known
	known map[wire.Key]*inquiry
}

// inquiry is one question to one provider; endpoints, err and ended are set before done is closed.
type inquiry struct {
	done      chan struct{}
	revision  int64
	ended     time.Time
	endpoints *endpoints
	err       error
}

func newDirectory(now func() time.Time) *directory {
	return &directory{now: now, known: map[wire.Key]*inquiry{}}
}

// endpoints gives what the provider says of itself. Those who ask at once share one question.
func (d *directory) endpoints(ctx context.Context, row Sealed) (*endpoints, error) {
	found, mine := d.inquiry(row)
	if mine {
		d.inquire(ctx, row.Provider, found)
	}
	select {
	case <-found.done:
		return found.endpoints, found.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (d *directory) inquiry(row Sealed) (found *inquiry, mine bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	found, ok := d.known[row.Key]
	if ok && found.revision == row.Revision && d.usable(found) {
		return found, false
	}
	if ok {
		found.close()
	}
	if len(d.known) >= maxKnown {
		clear(d.known) // so many providers are asked again; connections close by themselves when idle
	}
	found = &inquiry{done: make(chan struct{}), revision: row.Revision}
	d.known[row.Key] = found
	return found, true
}

func (d *directory) usable(i *inquiry) bool {
	select {
	case <-i.done:
	default:
		return true // somebody waits for the answer already
	}
	life := knownFor
	if i.err != nil {
		life = failedFor
	}
	return d.now().Sub(i.ended) < life
}

func (i *inquiry) close() {
	select {
	case <-i.done:
		if i.endpoints != nil {
			i.endpoints.client.CloseIdleConnections()
		}
	default: // it is being asked still
	}
}

// inquire asks in the caller's goroutine but without its cancellation, since others wait for the answer too.
func (d *directory) inquire(ctx context.Context, p Provider, i *inquiry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discoverFor)
	defer cancel()
	defer close(i.done)
	i.err = errors.New("the inquiry panicked") // what those who wait get then
	i.endpoints, i.err = discover(ctx, p, d.now)
	i.ended = d.now()
}

// discover asks a provider. The provider may lie about everything but who it is: its document comes from the issuer's own
// host over TLS.
func discover(ctx context.Context, p Provider, now func() time.Time) (*endpoints, error) {
	client, err := newClient(p)
	if err != nil {
		return nil, err
	}
	ctx = goidc.ClientContext(ctx, client)
	provider, err := goidc.NewProvider(ctx, p.Issuer)
	if err != nil {
		return nil, discoveryFault(err)
	}
	e := &endpoints{provider: provider, client: client}
	if err := provider.Claims(&e.metadata); err != nil {
		return nil, errors.New("the discovery document has members of wrong types")
	}
	for name, place := range map[string]string{
		"authorization_endpoint": provider.Endpoint().AuthURL, "token_endpoint": provider.Endpoint().TokenURL, "jwks_uri": e.metadata.JWKS,
	} {
		if !isEndpoint(place) {
			return nil, errors.New("the discovery document names no https URL as " + name)
		}
	}
	if e.style, err = styleOf(p, e.metadata.AuthMethods); err != nil {
		return nil, err
	}
	e.verifier = provider.VerifierContext(ctx, &goidc.Config{ClientID: p.ClientID, SupportedSigningAlgs: p.Algorithms, Now: now})
	return e, nil
}

// discoveryFault keeps what a host answered that is no provider out of the audit log, whose reader may be whoever chose the host.
func discoveryFault(err error) error {
	var other *goidc.IssuerMismatchError
	if errors.As(err, &other) {
		return errors.New("answers as another issuer, " + clip(other.Discovered))
	}
	if fault := transportFault(err); fault != nil {
		return fault
	}
	if strings.Contains(err.Error(), errTooLong.Error()) { // go-oidc does not wrap it
		return errTooLong
	}
	return errors.New("answers with no discovery document")
}

// styleOf says how the client secret is shown. To find out by trying would show it in two ways, and use a code twice.
func styleOf(p Provider, methods []string) (oauth2.AuthStyle, error) {
	switch {
	case !p.HasSecret:
		return oauth2.AuthStyleInParams, nil
	case len(methods) == 0, slices.Contains(methods, "client_secret_basic"):
		return oauth2.AuthStyleInHeader, nil
	case slices.Contains(methods, "client_secret_post"):
		return oauth2.AuthStyleInParams, nil
	default:
		return 0, errors.New("takes a client secret neither by client_secret_basic nor by client_secret_post")
	}
}
