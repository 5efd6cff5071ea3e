package cli

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/zalando/go-keyring"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// It is one test, since the keyring is one for the process.
func TestATokenIsKeptInTheKeyringWhereThereIsOne(t *testing.T) {
	t.Parallel()
	c := Contexts{filepath.Join(t.TempDir(), "contexts")}
	context := Context{Server: "https://bulkhead.example", Login: &Login{User: "olga", Store: storeKeyring}, name: "desk"}
	keyring.MockInit()
	if store, err := c.putToken("desk", storeKeyring, secret.FromString("one")); err != nil || store != storeKeyring {
		t.Fatalf("%s %v", store, err)
	}
	if _, err := os.Stat(c.tokenFile("desk")); !os.IsNotExist(err) {
		t.Errorf("there is a file as well: %v", err)
	}
	if token, err := c.token(context); err != nil || string(token.Reveal()) != "one" {
		t.Errorf("%v", err)
	}
	other := Contexts{filepath.Join(t.TempDir(), "contexts")}
	if _, err := other.token(context); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("another folder's context has the login: %v", err)
	}
	for range 2 {
		if err := c.forgetToken(context); err != nil {
			t.Error(err)
		}
	}
	keyring.MockInitWithError(errors.New("locked"))
	if store, err := c.putToken("desk", storeKeyring, secret.FromString("two")); err != nil || store != storeFile {
		t.Errorf("%s %v", store, err)
	}
	if _, err := c.token(context); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("got %v", err)
	}
}

func TestTokensGoToAFileWhereTheContextsHaveAFolderOfTheirOwn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		environ []string
		want    string
	}{
		{[]string{"BULKHEAD_CONTEXT_DIR=/x", "DBUS_SESSION_BUS_ADDRESS=unix:path=/y"}, storeFile},
		{[]string{"HOME=/x"}, storeFile},
		{[]string{"HOME=/x", "DBUS_SESSION_BUS_ADDRESS=unix:path=/y"}, storeKeyring},
	} {
		if got := (Contexts{"/x"}).keeper(c.environ); got != c.want {
			t.Errorf("%v: %s", c.environ, got)
		}
	}
}
