package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bulkhead/backend/audit"
	"bulkhead/backend/audit/ledger"
	"bulkhead/backend/audit/sequencer"
	"bulkhead/db"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

const (
	// watchEvery is how often the database's guards and the fold of grants are looked at.
	watchEvery = 5 * time.Second
	// patrolEvery is how often all logs are recomputed from their entries up; a patrol that takes long makes longer pauses.
	patrolEvery = 5 * time.Minute
)

// Grants compares the table of grants with the fold of the grant entries of the audit log.
type Grants interface {
	// Differences says what one has and the other has not.
	Differences(ctx context.Context) ([]string, error)
}

// auditing is what keeps the audit log and watches over it.
type auditing struct {
	server    *Server
	log       *db.Audit
	store     *db.AuditSequencer
	journal   *sequencer.Journal
	key       sequencer.Key
	sequencer *sequencer.Sequencer
	grants    Grants // nil where nobody compares
	stopped   sync.Once

	mu    sync.Mutex // guards found
	found map[string][]sequencer.Alarm
}

// makeAudit starts the sequencer, whose key and journal are in the state directory, and what watches over the log.
func (s *Server) makeAudit(ctx context.Context) (err error) {
	a := &auditing{server: s, log: db.NewAudit(s.db), found: map[string][]sequencer.Alarm{}, grants: db.NewPrivileges(s.db)}
	restored, err := sequencer.AcceptRestore(s.options.Config.StateDir)
	if err != nil {
		return errs.As(wire.Invalid, err, "the accepted restore of the audit log cannot be made")
	}
	if a.key, err = sequencer.EnsureKey(s.file("audit.key")); err != nil {
		return errs.As(wire.Invalid, err, "the key that signs the audit log cannot be used")
	}
	if a.journal, err = sequencer.OpenJournal(s.file("audit.journal")); err != nil {
		return errs.As(wire.Invalid, err, "the journal of the audit log cannot be used")
	}
	if a.store, err = db.NewAuditSequencer(ctx, s.db); err != nil {
		return errors.Join(err, a.journal.Close())
	}
	s.audit = a              // from here on Stop closes them
	host, _ := os.Hostname() // it only names the process for people
	a.sequencer = sequencer.New(sequencer.Config{
		Store: a.store, Key: a.key, Journal: a.journal, Holder: fmt.Sprintf("%s %d %s", host, os.Getpid(), a.key.Signer.Name()), Log: s.log, Now: time.Now,
	})
	if a.key.Made {
		if err := a.log.Record(ctx, audit.New(audit.Server, audit.LogKey, 0, audit.Asset{Kind: "audit", Name: a.key.Signer.Name()}).
			Changed(nil, map[string]string{"key": a.key.Public})); err != nil {
			return err
		}
	}
	if restored != nil {
		if err := a.log.Record(ctx, audit.New(audit.Server, audit.LogRestore, 0, audit.Asset{Kind: "audit", Name: a.key.Signer.Name()}).
			Changed(restored.Before(), map[string]string{"key": a.key.Public, "reason": restored.Reason})); err != nil {
			return err
		}
		if err := restored.Done(); err != nil {
			return err
		}
	}
	s.group.Go(a.sequencer.Run)
	s.group.Go(a.watch)
	s.group.Go(a.patrol)
	return s.metrics.Register(a)
}

// stop signs what is left when all others have stopped. Stopping twice is fine.
func (a *auditing) stop(ctx context.Context) (err error) {
	a.stopped.Do(func() {
		if err := errors.Join(a.sequencer.Round(ctx), a.sequencer.Leave(ctx)); err != nil {
			a.server.log.WarnContext(ctx, "the last entries of the audit log are signed at the next start", logkey.Error, err)
		}
		a.store.Close()
		err = a.journal.Close()
	})
	return err
}

// watch looks at what must hold in the database at all times.
func (a *auditing) watch(ctx context.Context) {
	every := watchEvery
	if patrol := a.server.options.AuditPatrol; patrol > 0 {
		every = min(every, patrol)
	}
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		off, err := a.log.Guards(ctx)
		a.tell(ctx, sequencer.Guards, off, err)
		if a.grants != nil {
			differences, err := a.grants.Differences(ctx)
			a.tell(ctx, sequencer.Grants, differences, err)
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
	}
}

// patrol recomputes every log as an outsider would, and compares it with what was signed.
func (a *auditing) patrol(ctx context.Context) {
	for {
		begun := time.Now()
		a.patrolOnce(ctx)
		every := a.server.options.AuditPatrol
		if every == 0 {
			every = max(patrolEvery, 20*time.Since(begun))
		}
		pause := time.NewTimer(every)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

func (a *auditing) patrolOnce(ctx context.Context) {
	var wrong []string
	for l, state := range a.sequencer.Shown() {
		_, err := ledger.Verification{Key: a.key.Verifier, Log: l, Before: []ledger.State{state}}.Verify(ctx, a.log)
		if fault := new(ledger.Fault); errors.As(err, &fault) || errs.KindOf(err) == wire.NotFound {
			wrong = append(wrong, err.Error())
		} else if err != nil && ctx.Err() == nil {
			a.server.log.WarnContext(ctx, "the audit log could not be checked", logkey.Error, err)
		}
	}
	strays, err := a.log.Strays(ctx)
	a.tell(ctx, sequencer.Tampered, append(wrong, strays...), err)
}

// tell remembers what a check found, and logs what is new. A check that could not be made leaves what is known.
func (a *auditing) tell(ctx context.Context, reason string, found []string, err error) {
	if err != nil {
		if ctx.Err() == nil {
			a.server.log.WarnContext(ctx, "a check of the audit log could not be made", logkey.Reason, reason, logkey.Error, err)
		}
		if len(found) == 0 {
			return
		}
	}
	slices.Sort(found)
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []sequencer.Alarm
	for _, text := range found {
		alarm := sequencer.Alarm{Reason: reason, Text: text}
		if !slices.Contains(a.found[reason], alarm) {
			a.server.log.ErrorContext(ctx, "audit alarm", logkey.Reason, reason, logkey.Error, text)
		}
		list = append(list, alarm)
	}
	a.found[reason] = list
}

// alarms are all that hold now.
func (a *auditing) alarms() []sequencer.Alarm {
	list := a.sequencer.Alarms()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, reason := range sequencer.Reasons {
		list = append(list, a.found[reason]...)
	}
	return list
}

// healthy fails while there is an alarm.
func (a *auditing) healthy(context.Context) error {
	alarms := a.alarms()
	if len(alarms) == 0 {
		return nil
	}
	texts := make([]string, 0, 3)
	for _, alarm := range alarms[:min(len(alarms), cap(texts))] {
		texts = append(texts, alarm.Reason+": "+alarm.Text)
	}
	return errs.E(wire.Unavailable, "%d audit alarms; %s", len(alarms), strings.Join(texts, "; "))
}

var alarmMetric = prometheus.NewDesc("bulkhead_audit_alarms", "Alarms of the audit log that hold now, by reason. Each wants an operator's look at /readyz and the log.", []string{"reason"}, nil)

// Describe is of prometheus.Collector.
func (a *auditing) Describe(to chan<- *prometheus.Desc) { to <- alarmMetric }

// Collect is of prometheus.Collector.
func (a *auditing) Collect(to chan<- prometheus.Metric) {
	count := map[string]float64{}
	for _, alarm := range a.alarms() {
		count[alarm.Reason]++
	}
	for _, reason := range sequencer.Reasons {
		to <- prometheus.MustNewConstMetric(alarmMetric, prometheus.GaugeValue, count[reason], reason)
	}
}
