package remote_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/backend/remote"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func (s *stage) wantApprovals() {
	s.t.Helper()
	if err := s.SetPolicy(s.t.Context(), person("1").Actor, 11, remote.Policy{Approval: true}); err != nil {
		s.t.Fatal(err)
	}
}

// refusals counts the refusals that are on record.
func (s *stage) refusals() (n int) {
	s.t.Helper()
	entries, err := s.store.Entries(s.t.Context(), audit.Query{Project: 11, Limit: 200})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if e.Action == audit.TunnelRefuse {
			n++
		}
	}
	return n
}

// Who has an API key of a second account, or a service account, could approve their own requests with it.
func TestOnlyAPersonWhoIsLoggedInApproves(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.wantApprovals()
	tunnel := s.request(person("7"))
	key, service, bootstrap := person("8"), person("9"), person("owner")
	key.Method = "apikey"
	service.Actor.Kind, service.Method = audit.ServiceAccount, "apikey"
	bootstrap.Actor.Kind, bootstrap.Method = audit.APIKey, "apikey"
	own := person("7")
	own.Method, own.Login = "apikey", "a key of one's own"
	for name, by := range map[string]remote.Requester{"another's API key": key, "a service account": service, "the first API key": bootstrap, "one's own API key": own} {
		if _, err := s.Decide(t.Context(), by, tunnel.ID, true); errs.KindOf(err) != wire.Denied {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := s.refusals(); n != 4 {
		t.Errorf("%d refusals are on record", n)
	}
	if got := s.state(tunnel.ID); got.State != remote.Requested {
		t.Errorf("the tunnel is %s", got.State)
	}
	if _, err := s.Decide(t.Context(), service, tunnel.ID, false); err != nil {
		t.Errorf("a program may deny: %v", err)
	}
}

func TestTheApprovalOfSomebodyWhoWasRevokedOpensNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.wantApprovals()
	tunnel := s.request(person("7"))
	if _, err := s.Decide(t.Context(), person("8"), tunnel.ID, true); err != nil {
		t.Fatal(err)
	}
	revoke := func(revoked bool) {
		s.far.mu.Lock()
		defer s.far.mu.Unlock()
		s.far.revoked = map[wire.Key]bool{8: revoked}
	}
	revoke(true)
	if _, err := s.OpenTunnel(t.Context(), person("7"), tunnel.ID, remote.UserEnd{Key: fingerprint}); errs.KindOf(err) != wire.Denied || s.refusals() != 1 {
		t.Errorf("%v, %d refusals on record", err, s.refusals())
	}
	revoke(false)
	if _, err := s.OpenTunnel(t.Context(), person("7"), tunnel.ID, remote.UserEnd{Key: fingerprint}); err != nil {
		t.Fatal(err)
	}
	if err := s.Opened(t.Context(), tunnel.ID); err != nil {
		t.Fatal(err)
	}
	revoke(true)
	if _, err := s.Extend(t.Context(), person("7"), tunnel.ID, 2*time.Hour); errs.KindOf(err) != wire.Denied {
		t.Errorf("extended: %v", err)
	}
}

func TestATunnelFromBeforeTheProjectWantedApprovalsIsNotExtended(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	open, asked := s.open(person("7")), s.request(person("7"))
	s.wantApprovals()
	if _, err := s.Extend(t.Context(), person("7"), open.ID, 2*time.Hour); errs.KindOf(err) != wire.Conflict {
		t.Errorf("extended: %v", err)
	}
	if _, err := s.Decide(t.Context(), person("8"), asked.ID, true); errs.KindOf(err) != wire.Conflict {
		t.Errorf("approved afterwards: %v", err)
	}
	if _, err := s.OpenTunnel(t.Context(), person("7"), asked.ID, remote.UserEnd{Key: fingerprint}); errs.KindOf(err) != wire.Conflict {
		t.Errorf("opened: %v", err)
	}
}

func TestExtensionsNeverLastLongerThanEightHoursFromTheOpening(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	tunnel := s.open(person("7"))
	for hour := 1; hour <= 9; hour++ {
		s.far.mu.Lock()
		s.far.later = time.Duration(hour) * 50 * time.Minute
		s.far.mu.Unlock()
		_, err := s.Extend(t.Context(), person("7"), tunnel.ID, time.Hour)
		if within := s.Now().Add(time.Hour).Sub(tunnel.ExpiresAt.Add(-time.Hour)) <= remote.MaxTTL; (err == nil) != within {
			t.Errorf("after %s: %v", s.far.later, err)
		}
	}
	if got := s.state(tunnel.ID); got.ExpiresAt.Sub(got.OpenedAt) > remote.MaxTTL {
		t.Errorf("it lasts %s", got.ExpiresAt.Sub(got.OpenedAt))
	}
	s.far.mu.Lock()
	defer s.far.mu.Unlock()
	for _, signed := range s.far.grants {
		if g, err := signed.Verify(s.public); err != nil || time.UnixMilli(g.Expires).Sub(tunnel.ExpiresAt.Add(-time.Hour)) > remote.MaxTTL+time.Second {
			t.Errorf("%+v, %v", g, err)
		}
	}
}

// Of many openings at once no more come through than one user may have; the same counts of requests that nobody opens.
func TestOneUserHasNoMoreThanTheirShareHoweverManyTheyOpenAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var ids []string
	for {
		tunnel, err := s.Request(t.Context(), person("7"), s.device, ask)
		if errs.KindOf(err) == wire.Exhausted {
			break
		}
		if ids = append(ids, tunnel.ID); err != nil || len(ids) > 1000 {
			t.Fatalf("%d requests, %v", len(ids), err)
		}
	}
	var wg sync.WaitGroup
	var opened, refused atomic.Int32
	for _, id := range ids {
		wg.Go(func() {
			switch _, err := s.OpenTunnel(t.Context(), person("7"), id, remote.UserEnd{Key: fingerprint}); errs.KindOf(err) {
			case "":
				opened.Add(1)
			case wire.Exhausted:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if opened.Load() != 32 || int(refused.Load()) != len(ids)-32 {
		t.Errorf("of %d, %d are open and %d were refused", len(ids), opened.Load(), refused.Load())
	}
	if _, err := s.OpenTunnel(t.Context(), person("8"), s.request(person("8")).ID, remote.UserEnd{Key: fingerprint}); err != nil {
		t.Errorf("another has no room: %v", err)
	}
}

// However many users somebody makes in a project of theirs, the others have room.
func TestOneProjectHasNoMoreThanItsShareHoweverManyItsUsers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.PerProject = 3
	for _, id := range []string{"1", "2", "3"} {
		s.open(person(id))
	}
	if _, err := s.OpenTunnel(t.Context(), person("4"), s.request(person("4")).ID, remote.UserEnd{Key: fingerprint}); errs.KindOf(err) != wire.Exhausted {
		t.Errorf("a fourth of the project: %v", err)
	}
	project := asset.Project{Key: 12, Name: "plant-b", Revision: 1, CreatedAt: time.Now()}
	e := audit.New(audit.Server, audit.ProjectCreate, project.Key, audit.Asset{Kind: "project", Key: project.Key})
	if err := s.assets.InsertProject(t.Context(), project, e); err != nil {
		t.Fatal(err)
	}
	s.device = remote.Device{Project: 12, Key: 34, Name: "oven-1", Serial: wire.NewSerial()}
	s.open(person("4"))
}
