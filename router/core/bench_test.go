package core

import (
	"fmt"
	"testing"

	"bulkhead/realms"
	"bulkhead/router/message"
)

// sink takes everything and keeps nothing but the last message.
type sink struct {
	events int
	last   message.Message
}

func (o *sink) Send(_ *Session, m message.Message) error { o.last = m; return nil }
func (o *sink) Fanout(to []*Session, _ *message.Event)   { o.events += len(to) }
func (o *sink) Close(_ *Session, _ *message.Goodbye)     {}

// newBench is a realm as it serves data: under the rules of realms.May, disclosing.
func newBench(b *testing.B, n int) (*rig, *sink, []*Session) {
	b.Helper()
	realm, out := realms.OfInstallation(11, 22, "prod"), &sink{}
	g := newRig(b, func(c *Config) {
		c.Disclose, c.Random = true, nil
		c.Authorize = func(s *Session, a realms.Action, uri string, m realms.Match) bool {
			return realms.May(realm, s.Principal(), a, uri, m)
		}
	})
	var sessions []*Session
	for range n {
		sessions = append(sessions, g.join("ann", func(p *realms.Principal, _ *Details) { p.Project = 11 }))
	}
	return g, out, sessions
}

func BenchmarkPublish(b *testing.B) {
	for _, receivers := range []int{1, 50, 1000} {
		for _, publisherToo := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d receivers, publisher among them %v", receivers, publisherToo), func(b *testing.B) {
				g, out, sessions := newBench(b, receivers+1)
				for _, s := range sessions[1:] {
					g.subscribe(s, "plant.line.temperature")
				}
				if publisherToo {
					g.subscribe(sessions[0], "plant.line.temperature")
				}
				g.realm.config.Output = out
				m := &message.Publish{Request: 1, Topic: "plant.line.temperature", Payload: text("x")}
				b.ReportAllocs()
				for b.Loop() {
					_ = g.realm.Handle(sessions[0], m, epoch)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(out.events), "ns/event")
			})
		}
	}
}

func BenchmarkPublishAmongPatterns(b *testing.B) {
	for _, patterns := range []int{0, 10_000} {
		for _, topics := range []int{1, 2 * maxRemembered} {
			b.Run(fmt.Sprintf("%d patterns, %d topics", patterns, topics), func(b *testing.B) {
				g, out, sessions := newBench(b, 2)
				var all []*message.Publish
				for i := range topics {
					topic := fmt.Sprintf("plant.line.machine.temperature%d", i)
					g.subscribe(sessions[1], topic)
					all = append(all, &message.Publish{Request: 1, Topic: topic, Payload: text("x")})
				}
				subscribePatterns(g, sessions[1], patterns)
				g.realm.config.Output = out
				for i := 0; b.Loop(); i++ {
					_ = g.realm.Handle(sessions[0], all[i%topics], epoch)
				}
			})
		}
	}
}

func BenchmarkCall(b *testing.B) {
	g, out, sessions := newBench(b, 2)
	g.register(sessions[1], "plant.line.reset")
	g.realm.config.Output = out
	call := &message.Call{Request: 1, Procedure: "plant.line.reset", Payload: text("x")}
	yield := &message.Yield{Payload: text("x")}
	b.ReportAllocs()
	for b.Loop() {
		_ = g.realm.Handle(sessions[0], call, epoch)
		yield.Request = sessions[1].invoked
		_ = g.realm.Handle(sessions[1], yield, epoch)
	}
}

func BenchmarkJoinAndLeave(b *testing.B) {
	g, out, _ := newBench(b, 100)
	g.realm.config.Output = out
	b.ReportAllocs()
	for b.Loop() {
		g.realm.Leave(g.join("bob"), g.now)
	}
}
