package httpapi_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/backend/httpapi"
	"bulkhead/wire"
)

func TestTheSameRequestIsDoneOnceAndAnsweredAlike(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.project("plant-a")
	key := header("Idempotency-Key", "abc-1")
	const path = "/projects/plant-a/devices"
	first := s.do("POST", httpapi.Prefix+path, httpapi.DeviceCreate{Name: "press-1"}, key)
	s.restart() // the answer outlives the process
	again := s.do("POST", httpapi.Prefix+path, httpapi.DeviceCreate{Name: "press-1"}, key)
	if first.status != 201 || again.status != 201 || string(first.body) != string(again.body) || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%d %s, then %d %s", first.status, first.body, again.status, again.body)
	}
	for _, name := range []string{"ETag", "Location", "Content-Type"} {
		if first.header.Get(name) == "" || first.header.Get(name) != again.header.Get(name) {
			t.Errorf("%s was %q and is %q", name, first.header.Get(name), again.header.Get(name))
		}
	}
	if first.header.Get("X-Request-Id") == again.header.Get("X-Request-Id") {
		t.Error("both have one request id")
	}
	if list := must[httpapi.List[httpapi.Device]](s, 200, "GET", path, nil); len(list.Items) != 1 {
		t.Errorf("%d devices", len(list.Items))
	}
	s.refused(422, "invalid", "POST", path, httpapi.DeviceCreate{Name: "press-2"}, key)
	s.refused(422, "invalid", "POST", "/projects", httpapi.DeviceCreate{Name: "press-1"}, key)
	s.clock.Pass(25 * time.Hour)
	s.refused(409, "conflict", "POST", path, httpapi.DeviceCreate{Name: "press-1"}, key) // done again, and the name is taken
}

// restart serves the same database with another process.
func (s *stage) restart() {
	s.t.Helper()
	s.config.Metrics = nil
	s.start()
}

func TestAnotherPrincipalHasKeysOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	other := must[httpapi.APIKeySecret](s, 201, "POST", "/apikeys", httpapi.APIKeyCreate{Name: "other"})
	key := header("Idempotency-Key", "abc-1")
	must[httpapi.Project](s, 201, "POST", "/projects", httpapi.ProjectCreate{Name: "plant-a"}, key)
	must[httpapi.Project](s, 201, "POST", "/projects", httpapi.ProjectCreate{Name: "plant-b"}, key, header("Authorization", "Bearer "+other.Key))
}

func TestWhatFailedIsDoneAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	key := header("Idempotency-Key", "abc-1")
	s.refused(404, "not_found", "POST", "/projects/plant-a/devices", httpapi.DeviceCreate{Name: "press-1"}, key)
	s.project("plant-a")
	must[httpapi.DeviceFlash](s, 201, "POST", "/projects/plant-a/devices", httpapi.DeviceCreate{Name: "press-1"}, key)
}

func TestARequestThatIsBeingDoneIsNotDoneTwice(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.project("plant-a")
	must[httpapi.App](s, 201, "POST", "/apps", httpapi.AppCreate{Name: "host-metrics"})
	s.data.hold, s.data.reach = make(chan struct{}), make(chan struct{})
	install := httpapi.InstallationCreate{App: "host-metrics", Stage: wire.Prod, Template: template}
	key := header("Idempotency-Key", "abc-1")
	var first sync.WaitGroup
	first.Go(func() {
		if a := s.send(t.Context(), "POST", httpapi.Prefix+"/projects/plant-a/installations", install, key); a.status != 201 {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	<-s.data.reach
	s.refused(409, "conflict", "POST", "/projects/plant-a/installations", install, key)
	close(s.data.hold)
	first.Wait()
	if a := s.do("POST", httpapi.Prefix+"/projects/plant-a/installations", install, key); a.status != 201 || a.header.Get("Idempotency-Replayed") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestKeysForIdempotencyThatAreNone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, wrong := range []string{"a b", "ä", strings.Repeat("a", 201), "a\tb", "'"} {
		s.refused(422, "invalid", "POST", "/projects", httpapi.ProjectCreate{Name: "plant-a"}, header("Idempotency-Key", wrong))
	}
	two := func(r *http.Request) { r.Header["Idempotency-Key"] = []string{"a", "b"} }
	s.refused(422, "invalid", "POST", "/projects", httpapi.ProjectCreate{Name: "plant-a"}, two)
	must[httpapi.List[httpapi.Project]](s, 200, "GET", "/projects", nil, header("Idempotency-Key", "a b"))
}
