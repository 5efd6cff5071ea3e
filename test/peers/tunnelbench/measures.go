package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// catalogue is what is measured, in the order of the page.
func catalogue() (all []kind) {
	for _, direction := range []byte{sink, source} {
		all = append(all, kind{"keystroke/" + way(direction), keystroke(direction)})
	}
	for _, direction := range []byte{sink, source} {
		for _, n := range []int{1, 8, 64} {
			all = append(all, kind{fmt.Sprintf("rate/%s/%d", way(direction), n), rate(direction, n)})
		}
	}
	for _, direction := range []byte{sink, source} {
		all = append(all, kind{"long/" + way(direction), long(direction)})
	}
	return append(all, kind{"stalled", stalled}, kind{"open", opening}, kind{"memory", memory}, kind{"revoke", revoke}, kind{"suite", suite})
}

func way(direction byte) string {
	if direction == sink {
		return "up"
	}
	return "down"
}

var (
	village = line{bits: 10e6, trip: 50 * time.Millisecond, queue: 100 * time.Millisecond}
	ocean   = line{bits: 100e6, trip: 100 * time.Millisecond, queue: 50 * time.Millisecond}
)

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1e3) }

// keystroke measures the echo of a key beside one stream that takes all it can.
func keystroke(direction byte) func(context.Context, *bench) (measure, error) {
	return func(ctx context.Context, b *bench) (measure, error) {
		m := measure{
			Title: "A key and its echo beside one bulk stream " + way(direction) + ", 10 Mbit/s and 50 ms to the device",
			Head:  []string{"", "alone, p50 ms", "beside bulk, p50 ms", "p99 ms", "of keys", "bulk Mbit/s"},
		}
		sc, err := b.stage(ctx, &village)
		if err != nil {
			return m, err
		}
		defer sc.close()
		length, rounds := 11*time.Second, 2 // BBR looks how long the way is each ten seconds
		if b.quick {
			rounds = 1
		}
		alone, beside, rates := make([][]time.Duration, len(sc.subjects)), make([][]time.Duration, len(sc.subjects)), make([]float64, len(sc.subjects))
		for round := range rounds {
			for i := range sc.subjects {
				if round%2 == 1 {
					i = len(sc.subjects) - 1 - i // what comes later has older connections
				}
				s := sc.subjects[i]
				quiet, busy, f, err := s.typing(sc.target, direction, length)
				if err != nil {
					return m, err
				}
				alone[i], beside[i], rates[i] = append(alone[i], quiet...), append(beside[i], busy...), f.gbits()*1e3
			}
		}
		for i, s := range sc.subjects {
			p99 := quantile(beside[i], 0.99)
			m.Rows = append(m.Rows, []string{
				s.name, milliseconds(quantile(alone[i], 0.5)), milliseconds(quantile(beside[i], 0.5)), milliseconds(p99), fmt.Sprint(len(beside[i])), fmt.Sprintf("%.1f", rates[i]),
			})
			if s.user != nil {
				m.Checks = append(m.Checks, check{What: s.name + ", p99", Value: p99.Seconds() * 1e3, Most: 90, Unit: "ms"})
			}
		}
		return m, nil
	}
}

// typing types on a connection alone and then beside bulk.
func (s *subject) typing(t *target, direction byte, length time.Duration) (alone, beside []time.Duration, f flow, err error) {
	typists := make([]net.Conn, typists)
	for i := range typists {
		if typists[i], err = s.ask(echoes); err != nil {
			return nil, nil, f, err
		}
		defer typists[i].Close()
	}
	if alone, err = keys(typists[0], 10, 0, 10*time.Millisecond); err != nil {
		return nil, nil, f, fmt.Errorf("%s: %w", s.name, err)
	}
	full, err := s.pour(t, direction, 1, 0)
	if err != nil {
		return nil, nil, f, err
	}
	defer full.stop()
	time.Sleep(2 * time.Second)
	from, began := full.arrived(), time.Now()
	beside, err = together(typists, length)
	return alone[1:], beside, flow{bytes: full.arrived() - from, took: time.Since(began)}, err
}

// typists type at once, each on a connection of its own: the 99th percentile wants hundreds of keys.
const typists = 6

func together(conns []net.Conn, length time.Duration) (all []time.Duration, err error) {
	var wg sync.WaitGroup
	each, errs := make([][]time.Duration, len(conns)), make([]error, len(conns))
	for i, c := range conns {
		wg.Go(func() {
			time.Sleep(time.Duration(i) * 15 * time.Millisecond) // nobody types in step
			each[i], errs[i] = keys(c, 5, length, 20*time.Millisecond)
		})
	}
	wg.Wait()
	return slices.Concat(each...), errors.Join(errs...)
}

// rate measures how much goes through, on the loopback.
func rate(direction byte, streams int) func(context.Context, *bench) (measure, error) {
	return func(ctx context.Context, b *bench) (measure, error) {
		m := measure{
			Title: strings.Replace(fmt.Sprintf("%d streams %s over the loopback", streams, way(direction)), "1 streams", "One stream", 1),
			Head:  []string{"", "Gbit/s", "CPU-s per GB, agent + gateway", "CPU-s per GB, user's end"},
		}
		sc, err := b.stage(ctx, nil)
		if err != nil {
			return m, err
		}
		defer sc.close()
		rounds, length := 3, time.Second
		if b.quick {
			rounds, length = 1, 700*time.Millisecond
		}
		flows := make([][]flow, len(sc.subjects))
		for range rounds {
			for i, s := range sc.subjects {
				full, err := s.pour(sc.target, direction, streams, 0)
				if err != nil {
					return m, err
				}
				flows[i] = append(flows[i], full.run(s, 300*time.Millisecond, length))
				full.stop()
			}
		}
		got := map[string][2]float64{}
		for i, s := range sc.subjects {
			var speed, cost, user []float64
			for _, f := range flows[i] {
				speed, cost, user = append(speed, f.gbits()), append(cost, f.perGB(f.cpu)), append(user, f.perGB(f.user))
			}
			got[s.name] = [2]float64{quantile(speed, 0.5), quantile(cost, 0.5)}
			m.Rows = append(m.Rows, []string{
				s.name, fmt.Sprintf("%.2f", got[s.name][0]), fmt.Sprintf("%.2f", got[s.name][1]), fmt.Sprintf("%.2f", quantile(user, 0.5)),
			})
		}
		m.Checks = rateChecks(got, streams)
		return m, nil
	}
}

// rateChecks are the goals: of speed for one stream, of cost for any.
func rateChecks(got map[string][2]float64, streams int) (checks []check) {
	for _, goal := range []struct {
		own, peer   string
		speed, cost float64
	}{{oursOpen, frp, 1.5, 0.65}, {oursOpen, chisel, 2.5, 0.4}, {ours, frp, 1, 0.9}, {ours, chisel, 0, 0.55}} {
		own, peer := got[goal.own], got[goal.peer]
		if peer[0] == 0 {
			continue
		}
		if streams == 1 && goal.speed > 0 {
			checks = append(checks, check{What: goal.own + " against " + goal.peer + ": speed", Value: own[0] / peer[0], Least: goal.speed, Unit: "×"})
		}
		checks = append(checks, check{What: goal.own + " against " + goal.peer + ": CPU", Value: own[1] / peer[1], Most: goal.cost, Unit: "×"})
	}
	return checks
}

// long measures one stream over a long line.
func long(direction byte) func(context.Context, *bench) (measure, error) {
	return func(ctx context.Context, b *bench) (measure, error) {
		m := measure{
			Title: "One stream " + way(direction) + " over 100 Mbit/s and 100 ms to the device, after 4 s", Head: []string{"", "Mbit/s", "of the link"},
		}
		sc, err := b.stage(ctx, &ocean)
		if err != nil {
			return m, err
		}
		defer sc.close()
		for _, s := range sc.subjects {
			full, err := s.pour(sc.target, direction, 1, 0)
			if err != nil {
				return m, err
			}
			f := full.run(s, 4*time.Second, 4*time.Second)
			full.stop()
			share := f.gbits() * 1e9 / ocean.bits
			m.Rows = append(m.Rows, []string{s.name, fmt.Sprintf("%.1f", f.gbits()*1e3), fmt.Sprintf("%.0f %%", share*100)})
			if s.user != nil {
				m.Checks = append(m.Checks, check{What: s.name, Value: share * 100, Least: 90, Unit: "%"})
			}
			time.Sleep(time.Second) // what is under way still arrives
		}
		return m, nil
	}
}

// stalled measures what seven readers get beside one that has stalled, and what they get without it. Each time the tunnel is
// a new one: the kernel's congestion control empties a line every ten seconds to look how long it is.
func stalled(ctx context.Context, b *bench) (measure, error) {
	m := measure{
		Title: "Seven readers beside one that has stalled, over 100 Mbit/s and 100 ms, in the first ten seconds of a tunnel",
		Head:  []string{"", "seven alone, Mbit/s", "beside a stalled one, Mbit/s", "lost"},
	}
	sc, err := b.empty(&ocean)
	if err != nil {
		return m, err
	}
	defer sc.close()
	rounds := 3
	if b.quick {
		rounds = 1
	}
	names := []string{ours, oursOpen, sshR}
	got := make([][2]flow, len(names))
	for range rounds {
		for i, name := range names {
			for stalls := range got[i] {
				f, err := b.seven(ctx, sc, name, stalls)
				if err != nil {
					return m, err
				}
				got[i][stalls].add(f)
			}
		}
	}
	for i, name := range names {
		alone, beside := got[i][0].gbits(), got[i][1].gbits()
		lost := 100 * (1 - beside/alone)
		m.Rows = append(m.Rows, []string{name, fmt.Sprintf("%.1f", alone*1e3), fmt.Sprintf("%.1f", beside*1e3), fmt.Sprintf("%.1f %%", lost)})
		if name != sshR {
			m.Checks = append(m.Checks, check{What: name + ", lost", Value: max(lost, 0), Most: 5, Unit: "%"})
		}
	}
	return m, nil
}

// seven has seven readers come to a new tunnel, once nothing more is buffered for those that have stalled.
func (b *bench) seven(ctx context.Context, sc *scene, name string, stalls int) (flow, error) {
	_, routes := b.routes()
	s, err := routes[name](ctx, sc.far, sc.target.addr())
	if err != nil {
		return flow{}, err
	}
	defer s.close()
	first, err := s.pour(sc.target, source, stalls, stalls)
	if err != nil {
		return flow{}, err
	}
	defer first.stop()
	if stalls > 0 {
		sc.target.settle()
	}
	full, err := s.pour(sc.target, source, 7, 0)
	if err != nil {
		return flow{}, err
	}
	defer full.stop()
	return full.run(s, 3*time.Second, 2*time.Second), nil
}

// opening measures the time to the first byte of an answer, in round trips.
func opening(ctx context.Context, b *bench) (measure, error) {
	far := village
	far.bits = 100e6
	m := measure{Title: "From asking to the first byte of the answer, in round trips of 50 ms", Head: []string{"", "warm: one more stream", "cold: a new tunnel"}}
	sc, err := b.stage(ctx, &far)
	if err != nil {
		return m, err
	}
	defer sc.close()
	for _, s := range sc.subjects {
		var warm, cold []time.Duration
		for range 7 {
			took, err := firstByte(s)
			if err != nil {
				return m, err
			}
			warm = append(warm, took)
		}
		row := []string{s.name, fmt.Sprintf("%.2f", trips(warm)), "-"}
		if s.user != nil {
			if cold, err = b.colds(sc, s.name == ours); err != nil {
				return m, err
			}
			row[2] = fmt.Sprintf("%.2f", trips(cold))
			m.Checks = append(m.Checks, check{What: s.name + ", warm", Value: trips(warm), Most: 1.5, Unit: "round trips"},
				check{What: s.name + ", cold", Value: trips(cold), Most: 5, Unit: "round trips"})
		}
		m.Rows = append(m.Rows, row)
	}
	return m, nil
}

func trips(all []time.Duration) float64 { return quantile(all, 0.5).Seconds() / village.trip.Seconds() }

// firstByte is how long it takes from dialling to the echo of a byte.
func firstByte(s *subject) (time.Duration, error) {
	began := time.Now()
	c, err := s.ask(echoes)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := keys(c, 1, 0, 0); err != nil {
		return 0, fmt.Errorf("%s: %w", s.name, err)
	}
	return time.Since(began), nil
}

// colds measures from the asking for a tunnel: what tells the device of it has half a round trip to go.
func (b *bench) colds(sc *scene, endToEnd bool) (all []time.Duration, err error) {
	p, err := b.newPair(sc.far)
	if err != nil {
		return nil, err
	}
	defer p.gateway.stop()
	defer p.agent.stop()
	for range 5 {
		began := time.Now().Add(-village.trip / 2)
		user, addr, err := b.newUser(p, sc.target.addr(), endToEnd)
		if err != nil {
			return nil, err
		}
		_, err = firstByte(&subject{name: "cold", addr: addr})
		all = append(all, time.Since(began))
		user.stop()
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// memory measures the agents' resident memory.
func memory(ctx context.Context, b *bench) (measure, error) {
	m := measure{Title: "Resident memory of the device's end", Head: []string{"", "one idle tunnel, MiB", "8 streams down at full speed, most, MiB"}}
	sc, err := b.stage(ctx, nil)
	if err != nil {
		return m, err
	}
	defer sc.close()
	for _, s := range sc.subjects {
		idle := s.agent.memory()
		full, err := s.pour(sc.target, source, 8, 0)
		if err != nil {
			return m, err
		}
		most := 0.0
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			most = max(most, s.agent.memory())
		}
		full.stop()
		m.Rows = append(m.Rows, []string{s.name, fmt.Sprintf("%.1f", idle), fmt.Sprintf("%.1f", most)})
		if s.user != nil {
			m.Checks = append(m.Checks, check{What: s.name + ", idle", Value: idle, Most: 12, Unit: "MiB"}, check{What: s.name + ", bulk", Value: most, Most: 20, Unit: "MiB"})
		}
	}
	return m, nil
}

// revoke measures how soon a connection at each end is dead once the gateway is told to end its tunnel, while it is busy.
func revoke(ctx context.Context, b *bench) (measure, error) {
	m := measure{Title: "From a revoke to the death of the connections at both ends, of busy tunnels", Head: []string{"", "p50 ms", "p99 ms"}}
	sc, err := b.stage(ctx, nil, ours)
	if err != nil {
		return m, err
	}
	defer sc.close()
	p, err := b.newPair(nil)
	if err != nil {
		return m, err
	}
	defer p.gateway.stop()
	defer p.agent.stop()
	count := 100
	if b.quick {
		count = 20
	}
	var all []time.Duration
	for range count {
		took, err := b.revokeOne(p, sc.target)
		if err != nil {
			return m, err
		}
		all = append(all, took)
	}
	p99 := quantile(all, 0.99)
	m.Rows = [][]string{{ours, milliseconds(quantile(all, 0.5)), milliseconds(p99)}}
	m.Checks = []check{{What: "p99", Value: p99.Seconds(), Most: 1, Unit: "s"}}
	return m, nil
}

func (b *bench) revokeOne(p *pair, t *target) (time.Duration, error) {
	user, addr, err := b.newUser(p, t.addr(), true)
	if err != nil {
		return 0, err
	}
	defer user.stop()
	s := &subject{name: "revoked", addr: addr}
	full, err := s.pour(t, source, 1, 0)
	if err != nil {
		return 0, err
	}
	if err := await(context.Background(), "nothing comes", func() bool { return full.arrived() > 0 }); err != nil {
		return 0, err
	}
	began := time.Now()
	if _, err := ask[gatewayAnswer](p.gateway, order{End: fmt.Sprintf("T%d", p.opened)}); err != nil {
		return 0, err
	}
	full.wg.Wait() // the user's connection is dead
	err = await(context.Background(), "the target's connection lives", func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return len(t.open) == 0
	})
	took := time.Since(began)
	full.stop()
	return took, err
}

// suite tells what comes through of ends, resets, nothing and single bytes.
func suite(ctx context.Context, b *bench) (measure, error) {
	m := measure{Title: "What comes through", Head: []string{"", "reply after the asker's end", "reset", "no byte at all", "one byte"}}
	sc, err := b.stage(ctx, nil)
	if err != nil {
		return m, err
	}
	defer sc.close()
	tests := []func(*subject, *target) bool{halfClose, reset, noByte, oneByte}
	for _, s := range sc.subjects {
		row, passed := []string{s.name}, 0.0
		for _, test := range tests {
			failed := 0
			for range 11 {
				if !test(s, sc.target) {
					failed++
				}
			}
			switch failed {
			case 0:
				row, passed = append(row, "yes"), passed+1
			default:
				row = append(row, fmt.Sprintf("lost %d of 11", failed))
			}
		}
		m.Rows = append(m.Rows, row)
		if s.user != nil {
			m.Checks = append(m.Checks, check{What: s.name, Value: passed, Least: float64(len(tests)), Unit: "of " + fmt.Sprint(len(tests))})
		}
	}
	return m, nil
}

func deadline(c net.Conn) { _ = c.SetDeadline(time.Now().Add(5 * time.Second)) }

// read reads to the end and gives nothing where the end does not come.
func read(c net.Conn) (string, bool) {
	var text strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := c.Read(buffer)
		text.Write(buffer[:n])
		if err != nil {
			return text.String(), err.Error() == "EOF"
		}
	}
}

func halfClose(s *subject, _ *target) bool {
	c, err := s.ask(sink)
	if err != nil {
		return false
	}
	defer c.Close()
	deadline(c)
	_, _ = c.Write(make([]byte, 300<<10))
	_ = c.CloseWrite()
	reply, ended := read(c)
	return ended && reply == string([]byte{0, 0, 0, 0, 0, 0x4, 0xb0, 0})
}

// reset wants the other end to learn that the connection is gone.
func reset(s *subject, t *target) bool {
	c, err := s.ask(source)
	if err != nil {
		return false
	}
	_, _ = c.Read(make([]byte, 1))
	_ = c.SetLinger(0)
	_ = c.Close()
	return await(context.Background(), "", func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return len(t.open) == 0
	}) == nil
}

func noByte(s *subject, _ *target) bool {
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		return false
	}
	defer c.Close()
	deadline(c)
	_ = c.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // it was dialled as TCP
	text, ended := read(c)
	return ended && text == ""
}

func oneByte(s *subject, _ *target) bool {
	c, err := s.ask(echoes)
	if err != nil {
		return false
	}
	defer c.Close()
	times, err := keys(c, 5, 0, 0)
	return err == nil && slices.Max(times) < time.Second
}
