package asset_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

// use is a use case of one process: it is given a process whose steps may fail.
type use func(ctx context.Context, a *asset.Assets) error

// everyFault runs a use case once for each step at which it can fail and each mode of failing, then lets the world heal:
// a process that lives repairs itself, one that died is started again. Then check looks at what is left. It is done
// twice: once where all that can fail does, once where the store fails and the data backends go on working.
func everyFault(t *testing.T, prepare func(s *stage) use, check func(t *testing.T, s *stage, err error)) {
	t.Helper()
	for _, m := range modes {
		for _, storeOnly := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, store only %t", m, storeOnly), func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				at := 1
				for faultAt(t, s, m, storeOnly, at, prepare, check) && !t.Failed() {
					at++
				}
				if at < 4 {
					t.Errorf("only %d steps failed", at-1)
				}
			})
		}
	}
}

// faultAt reports whether the use case has so many steps.
func faultAt(t *testing.T, s *stage, m mode, storeOnly bool, at int, prepare func(s *stage) use, check func(t *testing.T, s *stage, err error)) bool {
	f := &faults{mode: m, at: never}
	backends, exports := asset.DataBackends(faultyBackends{s.backends, f}), asset.Exporter(faultyExports{s.exports, f})
	if storeOnly {
		backends, exports = s.backends, s.exports
	}
	a := s.process(faultyStore{s.store, f}, backends, exports)
	run := prepare(s)
	if err := a.Load(t.Context()); err != nil { // what prepare made with another process
		t.Fatal(err)
	}
	f.step, f.at = 0, at
	err, survived := outlive(t.Context(), a, run)
	if !f.reached() {
		return false
	}
	f.at = never // the world is well again
	if survived {
		repair(t, s, a)
	} else {
		a = s.process(s.store, s.backends, s.exports)
	}
	s.Assets, s.survived = a, survived
	t.Logf("step %d: %v", at, err)
	check(t, s, err)
	return true
}

func outlive(ctx context.Context, a *asset.Assets, run use) (err error, survived bool) {
	defer func() {
		cause := recover()
		if _, died := cause.(death); cause != nil && !died {
			panic(cause)
		}
	}()
	return run(ctx, a), true
}

// repair does what Run does, and then says that nothing is in doubt any more.
func repair(t *testing.T, s *stage, a *asset.Assets) {
	t.Helper()
	if a.Healthy(t.Context()) != nil {
		if err := a.Repair(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if a.Healthy(t.Context()) != nil {
		if err := a.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
}

// whole reports whether an installation is all there or all gone; anything between is an error of the test.
func whole(t *testing.T, s *stage, r realms.Realm) (there bool) {
	t.Helper()
	in, err := s.store.Installation(t.Context(), r)
	row := err == nil
	if !row && errs.KindOf(err) != wire.NotFound {
		t.Fatal(err)
	}
	found := fmt.Sprintf("row %t %s, schema %t, router %t, database's directory %t", row, in.State,
		s.backends.exists(t, r), has(s.router.last(), r), has(s.reloaded(), r))
	switch found {
	case "row true ready, schema true, router true, database's directory true":
		return true
	case "row false , schema false, router false, database's directory false":
		return false
	default:
		t.Error(found)
		return false
	}
}

func TestAnInstallationIsWholeOrNotThereWhateverFails(t *testing.T) {
	t.Parallel()
	everyFault(t, func(s *stage) use {
		p, app := s.project(name()), s.app(name())
		r := realms.OfInstallation(p.Key, app.Key, wire.Prod)
		return func(ctx context.Context, a *asset.Assets) error {
			s.last = r
			_, err := a.Install(ctx, someone, p.Key, app.Key, wire.Prod, []byte(goodTemplate))
			return err
		}
	}, func(t *testing.T, s *stage, err error) {
		there := whole(t, s, s.last)
		if err == nil && s.survived && !there {
			t.Error("the answer was that it is installed")
		}
		if there { // it can be removed
			if _, err := s.Uninstall(t.Context(), someone, s.last, false); err != nil {
				t.Error(err)
			}
			return
		}
		// It can be installed again.
		if _, err := s.Install(t.Context(), someone, s.last.Project, s.last.App, wire.Prod, []byte(goodTemplate)); err != nil || !whole(t, s, s.last) {
			t.Errorf("again: %v", err)
		}
	})
}

func TestAnUninstallationIsFinishedOrNeverBegunWhateverFails(t *testing.T) {
	t.Parallel()
	everyFault(t, func(s *stage) use {
		in := s.install(s.project(name()), s.app(name()))
		s.last = in.Realm
		if _, _, err := s.CreateService(s.t.Context(), someone, in.Realm, "dashboard"); err != nil {
			s.t.Fatal(err)
		}
		return func(ctx context.Context, a *asset.Assets) error {
			_, err := a.Uninstall(ctx, someone, in.Realm, false)
			return err
		}
	}, func(t *testing.T, s *stage, err error) {
		there := whole(t, s, s.last)
		_, service := s.Directory().Service(s.last.Name(), "dashboard")
		if there != service {
			t.Errorf("the installation is there: %t, its service: %t", there, service)
		}
	})
}

func TestNothingIsRemovedBeforeTheExportThatWasAskedFor(t *testing.T) {
	t.Parallel()
	everyFault(t, func(s *stage) use {
		in := s.install(s.project(name()), s.app(name()))
		s.last = in.Realm
		return func(ctx context.Context, a *asset.Assets) error {
			_, err := a.Uninstall(ctx, someone, in.Realm, true)
			return err
		}
	}, func(t *testing.T, s *stage, err error) {
		exported := 0
		for _, r := range s.exports.made {
			if r == s.last {
				exported++
			}
		}
		if there := whole(t, s, s.last); !there && exported == 0 {
			t.Error("the data is gone without an export")
		}
	})
}

func TestADeletedProjectIsGoneOrThereWhateverFails(t *testing.T) {
	t.Parallel()
	everyFault(t, func(s *stage) use {
		p := s.project(name())
		in := s.install(p, s.app(name()))
		d, _ := s.device(p, "press-1")
		s.last, s.serial = in.Realm, d.Serial
		return func(ctx context.Context, a *asset.Assets) error { return a.DeleteProject(ctx, someone, p.Key) }
	}, func(t *testing.T, s *stage, err error) {
		there := whole(t, s, s.last)
		_, device := s.Directory().Device(s.serial)
		_, stored := s.reloaded().Device(s.serial)
		_, errProject := s.FindProject(t.Context(), s.last.Project.String())
		if device != there || stored != there || (errProject == nil) != there || has(s.Directory(), realms.OfProject(s.last.Project)) != there {
			t.Errorf("installation %t, device %t and stored %t, project: %v", there, device, stored, errProject)
		}
	})
}

func TestATemplateThatIsWrongCreatesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p, app := s.project("plant-a"), s.app("host-metrics")
	for name, try := range map[string]struct {
		project, app wire.Key
		stage        wire.Stage
		template     string
		want         wire.Kind
	}{
		"template": {p.Key, app.Key, wire.Prod, "nonsense", wire.Invalid},
		"stage":    {p.Key, app.Key, "staging", goodTemplate, wire.Invalid},
		"project":  {wire.NewKey(), app.Key, wire.Prod, goodTemplate, wire.NotFound},
		"app":      {p.Key, wire.NewKey(), wire.Prod, goodTemplate, wire.NotFound},
	} {
		_, err := s.Install(t.Context(), someone, try.project, try.app, try.stage, []byte(try.template))
		if errs.KindOf(err) != try.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	list, err := s.Installations(t.Context(), 0, realms.Realm{}, 10)
	if err != nil || len(list) != 0 || s.backends.exists(t, realms.OfInstallation(p.Key, app.Key, wire.Prod)) {
		t.Errorf("left: %+v, %v", list, err)
	}
}

func TestAnAppIsInstalledOnceAtAStage(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p, app := s.project("plant-a"), s.app("host-metrics")
	in := s.install(p, app)
	_, err := s.Install(t.Context(), someone, p.Key, app.Key, wire.Prod, []byte(goodTemplate))
	kind(t, err, wire.Conflict)
	if !whole(t, s, in.Realm) {
		t.Error("the second installation broke the first")
	}
	if _, err := s.Install(t.Context(), someone, p.Key, app.Key, wire.Dev, []byte(goodTemplate)); err != nil {
		t.Errorf("the other stage: %v", err)
	}
}

func TestACallerThatGivesUpLeavesNothingHalfDone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p, app := s.project("plant-a"), s.app("host-metrics")
	ctx, cancel := context.WithCancel(t.Context())
	a := s.process(s.store, leaving{s.backends, cancel}, s.exports)
	_, err := a.Install(ctx, someone, p.Key, app.Key, wire.Prod, []byte(goodTemplate))
	kind(t, err, wire.Canceled)
	if r := realms.OfInstallation(p.Key, app.Key, wire.Prod); whole(t, s, r) || a.Healthy(t.Context()) != nil {
		t.Errorf("left half done: %v", a.Healthy(t.Context()))
	}
}

// leaving is a caller that gives up while its installation is provisioned.
type leaving struct {
	*schemas
	cancel func()
}

func (l leaving) Provision(ctx context.Context, r realms.Realm, template []byte) error {
	err := l.schemas.Provision(ctx, r, template)
	l.cancel()
	return errors.Join(err, ctx.Err())
}

func TestAnExportThatFailsGivesTheInstallationBack(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	in := s.install(s.project("plant-a"), s.app("host-metrics"))
	_, value, err := s.CreateService(t.Context(), someone, in.Realm, "dashboard")
	if err != nil {
		t.Fatal(err)
	}
	s.exports.fail = true
	_, err = s.Uninstall(t.Context(), someone, in.Realm, true)
	kind(t, err, wire.Unavailable)
	known, _ := s.router.last().Service(in.Realm.Name(), "dashboard")
	if !whole(t, s, in.Realm) || !known.Equal(value) {
		t.Error("it was not given back")
	}
	s.exports.fail = false
	where, err := s.Uninstall(t.Context(), someone, in.Realm, true)
	if err != nil || where == "" || whole(t, s, in.Realm) {
		t.Errorf("%q, %v", where, err)
	}
}

func TestTwoWhoUninstallAtOnceDoItOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	in := s.install(s.project("plant-a"), s.app("host-metrics"))
	results := make(chan error)
	for range 4 {
		go func() {
			_, err := s.Uninstall(t.Context(), someone, in.Realm, true)
			results <- err
		}()
	}
	won := 0
	for range 4 {
		switch err := <-results; errs.KindOf(err) {
		case "":
			won++
		case wire.Conflict, wire.NotFound:
		default:
			t.Error(err)
		}
	}
	if won != 1 || s.exports.count() != 1 || whole(t, s, in.Realm) {
		t.Errorf("%d of 4 did it, %d exports", won, s.exports.count())
	}
}

func TestAProjectIsNotDeletedUnderAnInstallationThatIsBeingMade(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p, app := s.project("plant-a"), s.app("host-metrics")
	slow := &waiting{schemas: s.backends, reached: make(chan struct{}), goOn: make(chan struct{})}
	a := s.process(s.store, slow, s.exports)
	done := make(chan error)
	go func() {
		_, err := a.Install(t.Context(), someone, p.Key, app.Key, wire.Prod, []byte(goodTemplate))
		done <- err
	}()
	<-slow.reached
	kind(t, a.DeleteProject(t.Context(), someone, p.Key), wire.Conflict)
	if err := a.Repair(t.Context()); err != nil { // what this process is at is left alone
		t.Error(err)
	}
	close(slow.goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !whole(t, s, realms.OfInstallation(p.Key, app.Key, wire.Prod)) {
		t.Error("the installation is not whole")
	}
	if err := a.DeleteProject(t.Context(), someone, p.Key); err != nil {
		t.Error(err)
	}
}

// waiting is a data backend that takes its time.
type waiting struct {
	*schemas
	reached, goOn chan struct{}
}

func (w *waiting) Provision(ctx context.Context, r realms.Realm, template []byte) error {
	close(w.reached)
	<-w.goOn
	return w.schemas.Provision(ctx, r, template)
}

func TestRunHealsWhatWasLeftHalfDone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	f := &faults{mode: outage, at: never}
	deleted := make(chan struct{})
	a := s.process(telling{faultyStore{s.store, f}, deleted}, faultyBackends{s.backends, f}, s.exports)
	in := s.install(s.project("plant-a"), s.app("host-metrics"))
	if err := a.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.step, f.at = 0, 3 // begin the removal, and then the database is gone
	if _, err := a.Uninstall(t.Context(), someone, in.Realm, false); errs.KindOf(err) != wire.Unavailable || a.Healthy(t.Context()) == nil {
		t.Fatalf("%v, healthy: %v", err, a.Healthy(t.Context()))
	}
	f.at = never
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		a.Run(ctx)
	}()
	<-deleted
	cancel()
	<-stopped
	if whole(t, s, in.Realm) {
		t.Error("it is still there")
	}
}

// telling tells when an installation is deleted.
type telling struct {
	asset.Store
	deleted chan struct{}
}

func (s telling) DeleteInstallation(ctx context.Context, r realms.Realm, e audit.Entry) error {
	err := s.Store.DeleteInstallation(ctx, r, e)
	if err == nil {
		close(s.deleted)
	}
	return err
}
