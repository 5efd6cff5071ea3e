package httpapi_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/account/factor"
	"bulkhead/backend/audit"
	"bulkhead/backend/audit/sequencer"
	"bulkhead/backend/httpapi"
	"bulkhead/backend/remote"
	"bulkhead/backend/rotation"
	"bulkhead/db"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// scenario plays operations that need more than one person or more than this server, and looks at what each leaves.
type scenario struct {
	*stage
	signing *sequencer.Sequencer
	played  map[string]bool
	known   map[string]operation
}

// newScenario has what of the server a stage leaves out: a sequencer, a file of keys and a device that answers.
func newScenario(t *testing.T) *scenario {
	t.Helper()
	s := &scenario{stage: newStage(t), played: map[string]bool{}, known: map[string]operation{}}
	s.signs()
	s.config.Remote, s.config.Rotation, s.config.Metrics, s.config.Refusals = reachable(s.stage), rotating(s.stage), nil, s.notes
	s.start()
	for _, op := range operations(t, s.stage) {
		s.known[op.id] = op
	}
	return s
}

var pathMember = regexp.MustCompile(`\\\{[^}]*\\\}`)

// leaves does an operation that succeeds and leaves exactly these entries.
func (s *scenario) leaves(id, path string, body any, as change, want ...audit.Action) answer {
	s.t.Helper()
	op := s.known[id]
	bare, _, _ := strings.Cut(path, "?")
	if form := pathMember.ReplaceAllString(regexp.QuoteMeta(op.path), `.+`); op.id == "" || !regexp.MustCompile("^"+form+"$").MatchString(bare) {
		s.t.Fatalf("%s is at %q, and not at %s", id, op.path, path)
	}
	before := newestEntry(s.t, s.stage)
	a := s.do(op.method, httpapi.Prefix+path, body, as)
	if a.status >= 400 {
		s.t.Fatalf("%s: %d %s\n%s", id, a.status, a.body, lastLine(s.log.String()))
	}
	var got []audit.Action
	for _, e := range entriesAfter(s.t, s.stage, before) {
		got = append(got, e.Action)
		wantTold(s.t, e)
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("%s left %q, want %q", id, got, want)
	}
	s.played[id] = true
	return a
}

// noted does what is refused, and leaves an entry of it.
func (s *scenario) noted(method, path string, body any, as change, want audit.Action) {
	s.t.Helper()
	s.notes.take()
	a := s.do(method, httpapi.Prefix+path, body, as)
	got := s.notes.take()
	if a.status < 400 || len(got) != 1 || got[0].Action != want || got[0].Outcome != audit.Failed || got[0].After == nil {
		s.t.Fatalf("%s %s: %d, noted %+v, want %s", method, path, a.status, got, want)
	}
	wantTold(s.t, got[0])
}

func answered[T any](s *scenario, a answer) (reply T) {
	s.t.Helper()
	if err := json.Unmarshal(a.body, &reply); err != nil {
		s.t.Fatalf("%v: %s", err, a.body)
	}
	return reply
}

func asOwner(s *scenario) change { return bearer(s.key) }

// TestWhatTakesTwoLeavesExactlyItsEntriesToo makes all succeed that TestEveryOperationLeavesExactlyItsEntries cannot.
func TestWhatTakesTwoLeavesExactlyItsEntriesToo(t *testing.T) {
	t.Parallel()
	s := newScenario(t)
	s.seals()
	_, d, _ := s.plant("plant-a")
	ann := s.logsIn("ann")
	s.owns(ann)
	s.belongs(ann)
	s.tunnels(ann)
	s.plays(s.recorded(d.Device))
	s.reads()
	s.takesAway()
	for id := range onlyRefused {
		if !s.played[id] {
			t.Errorf("%s succeeds nowhere", id)
		}
	}
}

// logsIn takes every step of a person's logins; the last gives what they go on with.
func (s *scenario) logsIn(name string) change {
	must[httpapi.User](s.stage, 201, "POST", "/users", httpapi.UserCreate{Login: name, Password: passphrase})
	if err := s.live.Load(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	first := answered[httpapi.LoginToken](s, s.leaves("login", "/login", httpapi.LoginCreate{Name: name, Password: passphrase}, nobody0, audit.LoginBegin))
	enrol := func(login httpapi.LoginToken) (httpapi.LoginToken, factor.Secret) {
		e := answered[httpapi.EnrolmentSecret](s, s.leaves("create-enrolment", "/login/enrolment", nil, bearer(login.Token), audit.FactorBegin))
		f := factor.Stored(secret.FromString(e.Secret))
		done := s.leaves("confirm-enrolment", "/login/enrolment/confirm", httpapi.FactorCode{Code: s.code(f)}, bearer(login.Token), audit.FactorEnrol)
		s.clock.Pass(time.Minute)
		return answered[httpapi.EnrolmentDone](s, done).LoginToken, f
	}
	_, f := enrol(first)
	next := answered[httpapi.LoginToken](s, s.leaves("login", "/login", httpapi.LoginCreate{Name: name, Password: passphrase}, nobody0, audit.LoginBegin))
	raised := answered[httpapi.LoginToken](s, s.leaves("show-second-factor", "/login/second-factor", httpapi.FactorCode{Code: s.code(f)}, bearer(next.Token), audit.LoginRaise))
	s.noted("POST", "/login", httpapi.LoginCreate{Name: name, Password: "no"}, nobody0, audit.LoginRefuse)
	s.noted("POST", "/login", httpapi.LoginCreate{Name: "nobody", Password: "no"}, nobody0, audit.LoginRefuse)
	s.noted("POST", "/login/second-factor", httpapi.FactorCode{Code: "000000"}, bearer(raised.Token), audit.FactorRefuse)
	s.noted("GET", "/keys", nil, bearer(raised.Token), audit.AccessRefuse)
	s.noted("GET", "/whoami", nil, bearer("bhk_0000000000000000_x_y"), audit.KeyRefuse)
	s.leaves("set-own-password", "/password", httpapi.UserPassword{Password: passphrase + "!"}, bearer(raised.Token), audit.PasswordSet, audit.LoginEnd)
	s.leaves("end-login", "/logins/"+raised.Login.ID, nil, bearer(raised.Token), audit.LoginEnd)
	s.leaves("reset-factor", "/users/"+name+"/reset-factor", nil, asOwner(s), audit.FactorReset, audit.LoginEnd)
	again := answered[httpapi.LoginToken](s, s.leaves("login", "/login", httpapi.LoginCreate{Name: name, Password: passphrase + "!"}, nobody0, audit.LoginBegin))
	last, _ := enrol(again)
	return bearer(last.Token)
}

// owns has a project offered, refused, accepted and given up.
func (s *scenario) owns(ann change) {
	offer := func() string {
		made := answered[httpapi.Transfer](s, s.leaves("create-transfer", "/projects/plant-a/transfers", `{"to":"ann","keep":true}`, asOwner(s), audit.OwnerOffer))
		return made.Key.String()
	}
	s.leaves("decline-transfer", "/transfers/"+offer(), nil, ann, audit.OwnerDecline)
	s.leaves("accept-transfer", "/transfers/"+offer()+"/accept", nil, ann, audit.OwnerAccept)
	s.leaves("remove-owner", "/projects/plant-a/owners/ann", nil, asOwner(s), audit.OwnerRemove)
}

// belongs has somebody be a member with privileges that are taken back, and leave.
func (s *scenario) belongs(ann change) {
	s.hall()
	s.leaves("add-member", "/projects/plant-a/members", `{"principal":"ann"}`, asOwner(s), audit.MemberAdd)
	grant := func(set string) {
		s.leaves("create-grant", "/grants", fmt.Sprintf(`{"principal":"ann","asset":"project:plant-a","set":%q}`, set), asOwner(s), audit.GrantCreate)
	}
	grant("viewer")
	s.leaves("explain-privilege", "/explain?flag=project.read&asset=project:plant-a", nil, ann)
	s.leaves("revoke-flags", "/grants/revoke", `{"principal":"ann","asset":"project:plant-a","flags":["device.read"]}`, asOwner(s), audit.GrantUpdate)
	s.leaves("leave-project", "/projects/plant-a/membership", nil, ann, audit.MemberRemove)
	s.leaves("add-member", "/projects/plant-a/members", `{"principal":"ann"}`, asOwner(s), audit.MemberAdd)
	grant("administrator")
}

// tunnels takes tunnels through all that may become of them.
func (s *scenario) tunnels(ann change) {
	bob, _ := s.person("bob", false)
	must[httpapi.Member](s.stage, 201, "POST", "/projects/plant-a/members", httpapi.MemberCreate{Principal: "bob"})
	must[httpapi.Grant](s.stage, 201, "POST", "/grants", httpapi.GrantCreate{Principal: "bob", Asset: "project:plant-a", Set: wire.SetAdministrator})
	must[httpapi.TunnelPolicy](s.stage, 200, "PUT", "/projects/plant-a/tunnel-policy", `{"approval":true}`)
	ask := func() string {
		made := s.leaves("create-tunnel", "/projects/plant-a/devices/press-1/tunnels", `{"target":"127.0.0.1:22","ttl_seconds":600}`, ann, audit.TunnelRequest)
		return "/tunnels/" + answered[httpapi.Tunnel](s, made).ID
	}
	s.leaves("deny-tunnel", ask()+"/deny", nil, asOwner(s), audit.TunnelDeny)
	one := ask()
	s.leaves("approve-tunnel", one+"/approve", nil, bearer(bob.Token), audit.TunnelApprove)
	s.leaves("open-tunnel", one+"/open", `{}`, ann, audit.TunnelGrant)
	if err := s.config.Remote.Opened(s.t.Context(), strings.TrimPrefix(one, "/tunnels/")); err != nil { // both ends have come
		s.t.Fatal(err)
	}
	s.leaves("extend-tunnel", one+"/extend", `{"ttl_seconds":60}`, ann, audit.TunnelExtend)
	s.leaves("close-tunnel", ask(), nil, ann, audit.TunnelClose)
}

// plays has a recording read, of which its key alone is put on record: without it the chunks show nothing.
func (s *scenario) plays(id string) {
	one := "/recordings/" + id
	s.leaves("get-recording", one, nil, asOwner(s))
	for _, purpose := range []string{"play", "export"} {
		s.leaves("unseal-recording", one+"/unseal", fmt.Sprintf(`{"purpose":%q}`, purpose), asOwner(s), audit.RecordingRead)
	}
	s.leaves("list-recording-chunks", one+"/chunks", nil, asOwner(s))
}

// reads has the log show itself, which is no change.
func (s *scenario) reads() {
	if err := s.signing.Round(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	for id, path := range map[string]string{
		"list-audit-logs": "/audit/logs", "show-audit-checkpoint": "/audit/logs/platform/checkpoint", "show-audit-key": "/audit/key",
		"show-audit-tile": "/audit/logs/platform/tile/0/000.p/1", "prove-audit-consistency": "/audit/logs/platform/consistency?from=1",
		"prove-audit-entry": "/audit/entries/1/proof",
	} {
		s.leaves(id, path, nil, asOwner(s))
	}
}

// takesAway deletes what may not be deleted while something needs it.
func (s *scenario) takesAway() {
	must[httpapi.Provider](s.stage, 201, "POST", "/projects/plant-a/providers", `{"name":"company","issuer":"https://two.example","client_id":"x"}`)
	s.leaves("delete-project-provider", "/projects/plant-a/providers/company", nil, asOwner(s), audit.ProviderDelete)
	must[httpapi.App](s.stage, 201, "POST", "/apps", httpapi.AppCreate{Name: "unused"})
	s.leaves("delete-app", "/apps/unused", nil, func(r *http.Request) { asOwner(s)(r); r.Header.Set("If-Match", "*") }, audit.AppDelete)
}

// seals makes a key that seals what is stored and takes the one before away.
func (s *scenario) seals() {
	keys := answered[httpapi.SealingKeys](s, s.leaves("list-sealing-keys", "/keys", nil, asOwner(s)))
	s.leaves("rotate-sealing-keys", "/keys/rotate", `{"new_key":true}`, asOwner(s), audit.SecretsAddKey)
	s.clock.Pass(time.Hour)
	s.leaves("drop-sealing-key", "/keys/"+keys.Keys[0].ID, nil, asOwner(s), audit.SecretsDrop)
}

func (s *scenario) signs() {
	s.t.Helper()
	dir := s.t.TempDir()
	store, err := db.NewAuditSequencer(s.t.Context(), s.database.DB)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(store.Close)
	key, err := sequencer.EnsureKey(filepath.Join(dir, "audit.key"))
	if err != nil {
		s.t.Fatal(err)
	}
	journal, err := sequencer.OpenJournal(filepath.Join(dir, "audit.journal"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = journal.Close() })
	s.signing = sequencer.New(sequencer.Config{Store: store, Key: key, Journal: journal, Holder: "test", Log: slog.New(slog.DiscardHandler), Now: time.Now})
	s.config.AuditKey, s.config.AuditText = key.Verifier, key.Public
}

// keyFile is a file of keys that seal.
type keyFile string

func (f keyFile) Add(key secret.Value) (*secret.Keyring, error) { return secret.AddKey(string(f), key) }
func (f keyFile) Drop(id secret.KeyID) (*secret.Keyring, error) { return secret.DropKey(string(f), id) }

func rotating(s *stage) *rotation.Rotation {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "keys")
	made, err := secret.EnsureKeyring(path)
	if err != nil {
		s.t.Fatal(err)
	}
	keys, _ := s.config.Sealer.(*secret.Keyring)
	keys.Become(made)
	return rotation.New(rotation.Config{Store: db.NewSealed(s.database.DB), Keys: keys, Source: keyFile(path), Audit: db.NewAudit(s.database.DB), Log: slog.New(slog.DiscardHandler), Now: s.clock.Now})
}

// reachable is a Remote whose devices open what they are asked to, at a gateway that nobody comes to.
func reachable(s *stage) *remote.Remote {
	return remote.New(remote.Config{
		Store: db.NewTunnels(s.database.DB), Gateway: openGateway{}, Agents: willing{}, Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
		UserURL: "wss://bulkhead.test/user", DeviceURL: "wss://bulkhead.test/device",
		Reachable: func(wire.Key, wire.Serial) bool { return true }, MayApprove: func(context.Context, wire.Key, remote.Tunnel) bool { return true },
		Log: slog.New(slog.DiscardHandler), Now: s.clock.Now,
	})
}

type openGateway struct{ noGateway }

func (openGateway) Admit(remote.Pass) (user, device secret.Value, err error) {
	return secret.FromString("user"), secret.FromString("device"), nil
}
func (openGateway) Extend(string, time.Time) bool { return true }

type willing struct{}

func (willing) OpenTunnel(context.Context, wire.Key, wire.Key, wire.TunnelOpenRequest) (wire.TunnelOpenReply, error) {
	return wire.TunnelOpenReply{Key: base64.StdEncoding.EncodeToString(make([]byte, 32)), MaxStreams: 1}, nil
}

func (willing) ExtendTunnel(context.Context, wire.Key, wire.Key, wire.TunnelExtendRequest) error {
	return nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
