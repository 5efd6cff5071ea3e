package core

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"bulkhead/realms"
	"bulkhead/router/message"
)

// The faults that show in numbers; the others are in faults_test.go.

// F9.
func TestABurstOfEventsIsDeliveredWhole(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, pub := g.join("ann"), g.join("pub")
	g.subscribe(ann, "a")
	const burst = 20_000
	for i := range burst {
		g.say(pub, "a", fmt.Sprint(i))
	}
	events := g.take(ann)
	for i, e := range events {
		if e != fmt.Sprintf("EVENT a %d", i) {
			t.Fatalf("event %d is %s", i, e)
		}
	}
	if acks := len(g.take(pub)); len(events) != burst || acks != burst {
		t.Errorf("%d events and %d acknowledgements of %d", len(events), acks, burst)
	}
}

// F17: with 10,000 patterns that do not match, publishing may take a few times as long as with none; with linear scans it
// takes 80 times as long. BenchmarkPublishAmongPatterns has the figure.
func TestPublishingDoesNotCostByTheNumberOfPatterns(t *testing.T) {
	g := newRig(t)
	pub, topics := g.join("pub"), 0
	fastest := func() time.Duration {
		best := time.Hour
		for range 20 {
			begin := time.Now()
			for range 500 {
				topics++ // of a new topic nothing is known
				g.do(pub, &message.Publish{Topic: fmt.Sprintf("plant.line.machine.temperature%d", topics)})
			}
			best = min(best, time.Since(begin))
		}
		return best
	}
	without := fastest()
	subscribePatterns(g, g.join("sub"), 10_000)
	if with := fastest(); with > 5*without {
		t.Errorf("500 publications take %v with 10,000 patterns, %v without", with, without)
	}
}

// subscribePatterns makes patterns that match nothing under plant.line.machine, but look like it.
func subscribePatterns(g *rig, s *Session, n int) {
	for i := range n / 2 {
		o := message.SubscribeOptions{Match: "prefix"}
		g.do(s, &message.Subscribe{Request: 1, Topic: fmt.Sprintf("plant.line.machine-%d.", i), Options: o})
		o.Match = "wildcard"
		g.do(s, &message.Subscribe{Request: 1, Topic: fmt.Sprintf("plant..machine-%d.temperature", i), Options: o})
	}
	g.take(s)
}

// F17, its other half: 100,000 subscriptions by one session, and its end.
func TestASessionWithAHundredThousandSubscriptionsComesAndGoes(t *testing.T) {
	g := newRig(t)
	ann := g.join("ann")
	begin := time.Now()
	subscribePatterns(g, ann, 100_000)
	g.realm.Leave(ann, g.now)
	if took := time.Since(begin); took > 2*time.Minute { // a second, on a machine that has nothing else to do
		t.Errorf("took %v", took)
	}
	assertEmpty(t, g.realm)
}

// Beside one session that stays, so that nothing ends with the last.
func TestARealmGivesBackTheMemoryOfSubscriptionsThatAreGone(t *testing.T) {
	g := newRig(t)
	g.subscribe(g.join("ann"), "a")
	before := liveHeap()
	bob := g.join("bob")
	subscribePatterns(g, bob, 100_000)
	for i := range 20_000 {
		g.do(bob, &message.Subscribe{Request: 1, Topic: fmt.Sprintf("first%d..x", i), Options: message.SubscribeOptions{Match: "wildcard"}})
		g.do(bob, &message.Register{Request: 1, Procedure: fmt.Sprintf("first%d.x", i)})
	}
	g.realm.Leave(bob, g.now)
	g.sent, g.names = map[*Session][]string{}, map[message.ID]string{}
	if after := liveHeap(); after > before+1<<20 {
		t.Errorf("the heap has %d KiB more than before", (after-before)>>10)
	}
	if got := len(g.realm.subscriptionByID); got != 1 {
		t.Errorf("%d subscriptions are left of those that stay", got)
	}
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // what a pool held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// F18.
func TestTheAuthorizerIsAskedOnceForWhatASessionDoesAgainAndAgain(t *testing.T) {
	t.Parallel()
	asked := map[string]int{}
	g := newRig(t, func(c *Config) {
		c.Authorize = func(_ *Session, a realms.Action, uri string, _ realms.Match) bool {
			asked[fmt.Sprint(a, uri)]++
			return uri != "forbidden"
		}
	})
	ann := g.join("ann")
	for range 100 {
		g.publish(ann, "a")
		g.publish(ann, "forbidden")
		g.call(ann, "b")
	}
	want := map[string]int{
		fmt.Sprint(realms.Publish, "a"): 1, fmt.Sprint(realms.Call, "b"): 1, fmt.Sprint(realms.Publish, "forbidden"): 100,
	}
	for what, n := range want {
		if asked[what] != n {
			t.Errorf("asked %d times about %s, want %d", asked[what], what, n)
		}
	}
	for i := range 10 * maxRemembered {
		g.publish(ann, fmt.Sprintf("t%d", i))
	}
	if n := len(ann.allowed); n > maxRemembered {
		t.Errorf("%d answers are remembered", n)
	}
}

// F22.
func TestRefusedRequestsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) {
		c.Authorize = func(_ *Session, _ realms.Action, uri string, _ realms.Match) bool {
			return !strings.HasPrefix(uri, "x")
		}
	})
	ann := g.join("ann")
	for i := range message.ID(10_000) {
		uri := fmt.Sprintf("x%d", i)
		for _, m := range []message.Message{
			&message.Call{Request: i + 1, Procedure: uri[1:], Options: message.CallOptions{TimeoutMs: 1000}},
			&message.Call{Request: i + 1, Procedure: uri}, &message.Subscribe{Request: i + 1, Topic: uri},
			&message.Register{Request: i + 1, Procedure: uri}, &message.Publish{Request: i + 1, Topic: uri},
			&message.Cancel{Request: i + 1}, &message.Unsubscribe{Request: i + 1, Subscription: i + 1},
		} {
			g.do(ann, m)
		}
	}
	if n := len(ann.allowed); n > maxRemembered {
		t.Errorf("%d answers are remembered", n)
	}
	if ann.used != (usage{sessions: 1}) || len(ann.calls)+len(ann.ended) > 0 {
		t.Errorf("left behind: %v, %d calls", ann.used, len(ann.calls))
	}
	g.realm.Leave(ann, g.now)
	assertEmpty(t, g.realm)
}
