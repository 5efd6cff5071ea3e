package main

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/client"
	"github.com/gammazero/nexus/v3/transport/serialize"
	"github.com/gammazero/nexus/v3/wamp"
	"github.com/gammazero/nexus/v3/wamp/crsign"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// started serves at a free port and gives its address.
func started(t *testing.T) string {
	t.Helper()
	p, err := listenAll([]string{"127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, p) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return p[0].Addr().String()
}

func TestTheServerListensOnThisMachineOnly(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		if p, err := listenAll([]string{"127.0.0.1:0", address}); err == nil {
			t.Errorf("it listens at %s: %v", address, p.close())
		}
	}
}

func TestWebSocketAtAnyPathAndRawSocketShareAPort(t *testing.T) {
	t.Parallel()
	address := started(t)
	for _, url := range []string{"ws://" + address + "/ws", "ws://" + address + "/test", "ws://" + address, "tcp://" + address} {
		for _, format := range []serialize.Serialization{serialize.JSON, serialize.MSGPACK, serialize.CBOR} {
			adds(t, url, client.Config{Serialization: format})
		}
	}
}

// adds joins and calls a procedure that the suites call.
func adds(t *testing.T, url string, c client.Config) {
	t.Helper()
	c.Realm, c.Logger, c.ResponseTimeout = realm, &silent{}, patience
	joined, err := client.ConnectNet(t.Context(), url, c)
	if err != nil {
		t.Errorf("%s: %v", url, err)
		return
	}
	result, err := joined.Call(t.Context(), "io.xconn.backend.add2", nil, wamp.List{2, 2}, nil, nil)
	if err != nil {
		t.Errorf("%s: %v", url, err)
	} else if sum, _ := wamp.AsInt64(result.Arguments[0]); sum != 4 {
		t.Errorf("2 and 2 is %v", result.Arguments)
	}
	if err := joined.Close(); err != nil {
		t.Error(err)
	}
}

// suiteKey is the private key of xconn-go's user.
const suiteKey = "150085398329d255ad69e82bf47ced397bcec5b8fbeecd28a80edbbd85b49081"

func signer(seed string) client.AuthFunc {
	return func(c *wamp.Challenge) (string, wamp.Dict) {
		text, _ := wamp.AsString(c.Extra["challenge"])
		challenge, errChallenge := hex.DecodeString(text)
		key, errKey := hex.DecodeString(seed)
		if errors.Join(errChallenge, errKey) != nil {
			return "", wamp.Dict{}
		}
		return hex.EncodeToString(append(ed25519.Sign(ed25519.NewKeyFromSeed(key), challenge), challenge...)), wamp.Dict{}
	}
}

func answer(password string) client.AuthFunc {
	return func(c *wamp.Challenge) (string, wamp.Dict) {
		if c.AuthMethod == "ticket" {
			return password, wamp.Dict{}
		}
		return crsign.RespondChallenge(password, c, nil), wamp.Dict{}
	}
}

func TestTheUsersOfTheSuitesJoinAndNobodyElse(t *testing.T) {
	t.Parallel()
	url := "ws://" + started(t) + "/ws"
	for _, u := range []struct {
		authid, method string
		right, wrong   client.AuthFunc
	}{
		{"ticket-user", "ticket", answer("ticket-pass"), answer("wrong")},
		{"wamp-cra-user", "wampcra", answer("cra-secret"), answer("wrong")},
		{"wamp-cra-salt-user", "wampcra", answer("cra-salt-secret"), answer("wrong")},
		{"cryptosign-user", "cryptosign", signer(suiteKey), signer(hex.EncodeToString(make([]byte, 32)))},
		{"nobody", "cryptosign", nil, signer(suiteKey)},
		{"nobody", "ticket", nil, answer("")},
		{"ticket-user", "wampcra", nil, answer("")},
	} {
		c := client.Config{HelloDetails: wamp.Dict{"authid": u.authid}, AuthHandlers: map[string]client.AuthFunc{u.method: u.wrong}}
		c.Realm, c.Logger, c.ResponseTimeout = realm, &silent{}, patience
		if joined, err := client.ConnectNet(t.Context(), url, c); err == nil {
			t.Errorf("%s joined by %s with a wrong proof: %v", u.authid, u.method, joined.Close())
		}
		if u.right != nil {
			c.AuthHandlers = map[string]client.AuthFunc{u.method: u.right}
			adds(t, url, c)
		}
	}
}
