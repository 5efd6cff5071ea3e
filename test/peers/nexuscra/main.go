// Command nexuscra is the nexus router with WAMP-CRA, which nexusd cannot be configured to have: a peer to compare joins
// with.
//
// It promises to add nothing to nexus's own server but a key store in memory, without a salt, as ours is.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/router/auth"

	"bulkhead/test/peers/internal/scene"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	flags := scene.ReadFlags()
	keys := keyStore{}
	for i := range scene.Devices {
		keys[scene.Serial(i)] = scene.Secret(i)
	}
	r, err := router.NewRouter(&router.Config{RealmConfigs: []*router.RealmConfig{{
		URI:            scene.ProjectRealm,
		Authenticators: []auth.Authenticator{auth.NewCRAuthenticator(keys, 10*time.Second)},
	}}}, log.New(io.Discard, "", 0))
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	defer r.Close()
	return scene.Serve(flags, router.NewWebsocketServer(r))
}

// keyStore has secrets by authid.
type keyStore map[string]string

var errUnknown = errors.New("no such device")

func (k keyStore) AuthKey(authid, _ string) ([]byte, error) {
	secret, ok := k[authid]
	if !ok {
		return nil, errUnknown
	}
	return []byte(secret), nil
}

func (keyStore) PasswordInfo(string) (salt string, keylen, iterations int) { return "", 0, 0 }

func (k keyStore) AuthRole(authid string) (string, error) {
	if _, ok := k[authid]; !ok {
		return "", errUnknown
	}
	return "agent", nil
}

func (keyStore) Provider() string { return "bench" }
