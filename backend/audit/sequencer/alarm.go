package sequencer

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"bulkhead/backend/audit/ledger"
	"bulkhead/internal/logkey"
)

const (
	// stoppedAfter is how long rounds may fail before that is an alarm.
	stoppedAfter = 10 * time.Second
	// clockSlack is how far a clock may be set back without an alarm: time daemons correct by less.
	clockSlack = 2 * time.Second
)

// Alarm is something that an operator must look at.
type Alarm struct {
	Reason string // one of Reasons
	Text   string
}

// The reasons of alarms.
const (
	Stopped  = "sequencer_stopped"
	Tampered = "log_tampered"
	Clock    = "clock_backward"
	Grants   = "grants_differ"
	Guards   = "guards_off"
)

// Reasons are all of them.
var Reasons = []string{Stopped, Tampered, Clock, Grants, Guards}

// Alarms tells what is wrong now.
func (s *Sequencer) Alarms() []Alarm {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Alarm
	if still := s.Now().Sub(s.last); still > stoppedAfter {
		list = append(list, Alarm{Stopped, fmt.Sprintf("no entry was signed for %s: %v", still.Round(time.Second), s.failed)})
	}
	for _, log := range slices.Sorted(maps.Keys(s.faults)) {
		list = append(list, Alarm{Tampered, fmt.Sprintf("log %s: %s", log, s.faults[log])})
	}
	if s.backward != "" {
		list = append(list, Alarm{Clock, s.backward})
	}
	return list
}

// Shown gives the newest state of each log that readers were shown.
func (s *Sequencer) Shown() map[ledger.Log]ledger.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.shown)
}

// watchClock notices a wall clock that is before a time that was seen already, in an earlier run too.
func (s *Sequencer) watchClock() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now().Round(0)
	if back := s.wall.Sub(now); back > clockSlack {
		if s.backward == "" {
			s.Log.Error("the clock ran back", logkey.Duration, back)
		}
		s.backward = fmt.Sprintf("the clock is %s before a time that was signed: set it right", back.Round(time.Second))
		return
	}
	s.backward = ""
	if now.After(s.wall) {
		s.wall = now
	}
}
