package rpc_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/errs"
	"bulkhead/internal/wampx"
	"bulkhead/realms"
	"bulkhead/wire"
)

func TestARowGoesFromADeviceToTheDatabaseToSubscribersAndBack(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	publisher, other := s.asDevice(t, one), s.asDevice(t, two)
	heard := events(t, other, wire.TransformedTopic("metrics").URI)
	stored := wire.Row{"tsp": uint64(1767225600000), "n": uint64(1), "text": "x", "device_key": uint64(one.Key), "authid": string(one.Serial)}
	reply := mustAppend(t, publisher, "metrics", wire.Row{"tsp": uint64(1767225600000), "n": uint64(1), "text": "x", "device_key": uint64(two.Key)})
	if diff := cmp.Diff(wire.AppendReply{Success: true, Durable: "committed"}, reply); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{map[string]any(stored)}, next(t, heard).Args); diff != "" {
		t.Errorf("subscribers are told otherwise: %s", diff)
	}
	if diff := cmp.Diff([]wire.Row{stored}, history(t, other, "metrics", wire.HistoryRequest{Limit: 5})); diff != "" {
		t.Errorf("history tells otherwise: %s", diff)
	}
	bulkHeard := events(t, other, wire.TransformedBulkTopic("metrics").URI)
	bulk, err := wampx.Call(t.Context(), publisher, wire.AppendBulkProcedure(project, app, "metrics"), []wire.Row{{"n": 2}, {"n": 3}})
	if err != nil || bulk.Count != 2 {
		t.Errorf("bulk: %+v, %v", bulk, err)
	}
	rows, _ := next(t, bulkHeard).Args[0].([]any)
	if len(rows) != 2 || rows[1].(map[string]any)["n"] != uint64(3) {
		t.Errorf("bulk subscribers are told %v", rows)
	}
}

func TestAnAcknowledgedPublicationIsStoredWhenItIsAcknowledged(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	publisher := s.asDevice(t, one)
	topic := wire.TableTopic(project, app, "metrics")
	for n := range 20 {
		if err := publisher.PublishURI(t.Context(), topic, []any{wire.Row{"n": n}}, nil, wampx.PublishOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if rows := history(t, publisher, "metrics", wire.HistoryRequest{Limit: 100}); len(rows) != 20 {
		t.Errorf("%d rows", len(rows))
	}
	err := publisher.PublishURI(t.Context(), topic, []any{wire.Row{"n": "many"}}, nil, wampx.PublishOptions{})
	if refusal(err) != wire.ErrInvalidRow || errs.UserText(err) != "n: want an integer, have a string" {
		t.Errorf("a row that does not fit: %v", err)
	}
}

func TestARowSentTwiceWithOneSeqIsStoredOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	publisher := s.asDevice(t, one)
	for range 3 {
		_, _, err := publisher.CallURI(t.Context(), wire.AppendProcedure(project, app, "metrics").URI,
			[]any{wire.Row{"tsp": 1767225600000, "n": 1}}, map[string]any{"seq": 7}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	if rows := history(t, publisher, "metrics", wire.HistoryRequest{Limit: 100}); len(rows) != 1 {
		t.Errorf("%d rows", len(rows))
	}
}

func TestErrorsOfTheDataPlaneHaveTheirURIs(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	caller := s.asDevice(t, one)
	call := func(uri string, args ...any) string {
		_, _, err := caller.CallURI(t.Context(), uri, args, nil, nil)
		return refusal(err)
	}
	row := wire.Row{"n": 1}
	for name, c := range map[string]struct{ got, want string }{
		"append to no table":  {call(wire.AppendProcedure(project, app, "nowhere").URI, row), wire.ErrNoSuchTable},
		"history of no table": {call(wire.HistoryProcedure("nowhere").URI), wire.ErrNoSuchTable},
		"series of no table":  {call(wire.SeriesProcedure("nowhere").URI), wire.ErrNoSuchTable},
		"errors of no table":  {call(wire.RowErrorsProcedure("nowhere").URI), wire.ErrNoSuchTable},
		"append nothing":      {call(wire.AppendProcedure(project, app, "metrics").URI), wire.ErrInvalidRow},
		"a bulk of nothing":   {call(wire.AppendBulkProcedure(project, app, "metrics").URI, []any{}), wire.ErrInvalidRow},
		"limit":               {call(wire.HistoryProcedure("metrics").URI, map[string]any{"limit": 0}), wire.ErrInvalidLimit},
		"filter":              {call(wire.HistoryProcedure("metrics").URI, map[string]any{"filterAnd": []any{1}}), wire.ErrInvalidFilter},
		"series metric":       {call(wire.SeriesProcedure("metrics").URI, map[string]any{"timeRange": []any{0, nil}}), wire.ErrInvalidMetric},
		"errors limit":        {call(wire.RowErrorsProcedure("metrics").URI, map[string]any{"limit": 1001}), wire.ErrInvalidLimit},
		"another app's table": {call(wire.AppendProcedure(project, app+1, "metrics").URI, row), "wamp.error.not_authorized"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", name, c.got, c.want)
		}
	}
}

func TestRefusedRowsAreListed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first, second := s.asDevice(t, one), s.asDevice(t, two)
	for _, session := range []*wampx.Session{first, second} {
		for _, table := range []string{"metrics", "secrets"} {
			if err := session.PublishURI(t.Context(), wire.TableTopic(project, app, table), []any{wire.Row{"n": "x"}}, nil, wampx.PublishOptions{}); err == nil {
				t.Fatal("not refused")
			}
		}
	}
	listed := func(session *wampx.Session, table string) []wire.RowError {
		reply, err := wampx.Call(t.Context(), session, wire.RowErrorsProcedure(table), wire.RowErrorsRequest{Limit: 10})
		if err != nil || reply.Total != uint64(len(reply.Errors)) {
			t.Errorf("%s: %+v, %v", table, reply, err)
		}
		return reply.Errors
	}
	all := listed(first, "metrics")
	if len(all) != 2 || all[0].Device != two.Key || all[1].AuthID != string(one.Serial) || all[0].Code != wire.ErrInvalidRow {
		t.Errorf("listed %+v", all)
	}
	if own := listed(first, "secrets"); len(own) != 1 || own[0].Device != one.Key {
		t.Errorf("of a private table, a device is told %+v", own)
	}
	if all := listed(s.asService(t), "secrets"); len(all) != 2 {
		t.Errorf("of a private table, a service is told %+v", all)
	}
}

func TestAPrivateRowIsTheDevicesOwn(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	owner, other, service := s.asDevice(t, one), s.asDevice(t, two), s.asService(t)
	topic := wire.TransformedTopic("secrets").URI
	ownHeard, otherHeard, serviceHeard := events(t, owner, topic), events(t, other, topic), events(t, service, topic)
	mustAppend(t, owner, "secrets", wire.Row{"n": 1})
	mustAppend(t, other, "secrets", wire.Row{"n": 2})
	mustAppend(t, service, "secrets", wire.Row{"n": 3})
	numbers := func(rows []wire.Row) (all []any) {
		for _, r := range rows {
			all = append(all, r["n"])
		}
		return all
	}
	ask := wire.HistoryRequest{Limit: 10}
	got := []any{numbers(history(t, owner, "secrets", ask)), numbers(history(t, other, "secrets", ask)), len(history(t, service, "secrets", ask))}
	if diff := cmp.Diff([]any{[]any{uint64(1)}, []any{uint64(2)}, 3}, got); diff != "" {
		t.Errorf("history: %s", diff)
	}
	for range 3 {
		next(t, serviceHeard)
	}
	heard := []any{next(t, ownHeard).Args[0].(map[string]any)["n"], next(t, otherHeard).Args[0].(map[string]any)["n"], len(ownHeard), len(otherHeard)}
	if diff := cmp.Diff([]any{uint64(1), uint64(2), 0, 0}, heard); diff != "" {
		t.Errorf("events: %s", diff)
	}
}

func TestALargeHistoryComesInChunks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	caller := s.asDevice(t, one)
	for n := range 12 {
		mustAppend(t, caller, "metrics", wire.Row{"tsp": 1767225600000 + n, "n": n, "text": strings.Repeat("x", 1<<20)})
	}
	if _, err := wampx.Call(t.Context(), caller, wire.HistoryProcedure("metrics"), wire.HistoryRequest{Limit: 100}); refusal(err) != wire.ErrResultTooLarge {
		t.Errorf("without progress: %v", err)
	}
	var numbers, indexes []any
	args, _, err := caller.CallURI(t.Context(), wire.HistoryProcedure("metrics").URI, []any{wire.HistoryRequest{Limit: 100}}, nil, func(args []any, _ map[string]any) {
		indexes = append(indexes, args[0])
		for _, row := range args[1].([]any) {
			numbers = append(numbers, row.(map[string]any)["n"])
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{map[string]any{"chunked": true, "chunkCount": uint64(2), "totalRows": uint64(12), "order": "asc"}}, args); diff != "" {
		t.Error(diff)
	}
	if fmt.Sprint(numbers) != "[11 10 9 8 7 6 5 4 3 2 1 0]" || fmt.Sprint(indexes) != "[0 1]" {
		t.Errorf("chunks %v with rows %v", indexes, numbers)
	}
}

func TestASeriesIsAnswered(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	caller := s.asDevice(t, one)
	for n := range 10 {
		mustAppend(t, caller, "metrics", wire.Row{"tsp": 1767225600000 + n*1000, "n": n})
	}
	got, err := wampx.Call(t.Context(), caller, wire.SeriesProcedure("metrics"), wire.SeriesRequest{
		Metrics: []wire.Metric{{Ref: "n", Method: "AVG"}, {Ref: "tsp", Method: "COUNT"}}, TimeRange: []any{1767225600000, 1767225610000}, BucketMs: 5000,
	})
	want := []wire.Row{
		{"tsp": uint64(1767225600000), "AVG:n": 2.0, "COUNT:tsp": uint64(5)},
		{"tsp": uint64(1767225605000), "AVG:n": 7.0, "COUNT:tsp": uint64(5)},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestALostSessionIsJoinedAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	caller := s.asDevice(t, one)
	heard := events(t, caller, wire.TransformedTopic("metrics").URI)
	for n := range 3 {
		s.mu.Lock()
		for _, p := range s.peers {
			p.Close()
		}
		s.peers = nil
		s.mu.Unlock()
		await(t, "the procedures to be gone or back", func() bool {
			_, err := wampx.Call(t.Context(), caller, wire.AppendProcedure(project, app, "metrics"), wire.Row{"n": n})
			return err == nil
		})
		next(t, heard)
	}
}

func TestRealmsComeAndGo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(directory(deviceRealm))
	if peer, err := s.Join(t.Context(), dataRealm.Name(), realms.Principal{Role: realms.RoleService, AuthID: "service:x", Project: project}); err == nil {
		peer.Close()
		t.Fatal("the realm is still there")
	}
	s.apply(directory(dataRealm, deviceRealm))
	s.awaitServed(t)
	mustAppend(t, s.asDevice(t, one), "metrics", wire.Row{"n": 1})
	s.server.Reload(dataRealm)
	s.awaitServed(t)
	caller := s.asDevice(t, one)
	await(t, "the reloaded realm", func() bool {
		_, err := wampx.Call(t.Context(), caller, wire.AppendProcedure(project, app, "metrics"), wire.Row{"n": 2})
		return err == nil
	})
}

func TestAnAgentIsToldItsAssignmentsAndTheirChanges(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	agent, other := s.asAgent(t, one), s.asAgent(t, two)
	heard, otherHeard := events(t, agent, wire.AssignmentsChanged(one.Key).URI), events(t, other, wire.AssignmentsChanged(two.Key).URI)
	reply, err := wampx.Call(t.Context(), agent, wire.Assignments, wire.AssignmentsRequest{Version: wire.Version})
	if err != nil || len(reply.Assignments) != 1 || reply.Assignments[0].Realm != dataRealm.Name() {
		t.Errorf("got %+v, %v", reply, err)
	}
	s.mu.Lock()
	if diff := cmp.Diff([]wire.Serial{one.Serial}, s.asked); diff != "" {
		t.Error(diff)
	}
	s.mu.Unlock()
	s.server.AssignmentsChanged(project)
	next(t, heard)
	next(t, otherHeard)
	s.server.AssignmentsChanged(project + 1) // nobody there
}

func TestACallerWhoIsNotOfTheProjectIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	stranger := realms.Device{Serial: wire.NewSerial(), Key: 99, Project: project} // proved by the router, unknown to the directory by now
	for name, err := range map[string]error{
		"append": func() error {
			_, err := wampx.Call(t.Context(), s.asDevice(t, stranger), wire.AppendProcedure(project, app, "metrics"), wire.Row{"n": 1})
			return err
		}(),
		"history": func() error {
			_, err := wampx.Call(t.Context(), s.asDevice(t, stranger), wire.HistoryProcedure("metrics"), wire.HistoryRequest{})
			return err
		}(),
		"assignments": func() error {
			_, err := wampx.Call(t.Context(), s.asAgent(t, stranger), wire.Assignments, wire.AssignmentsRequest{})
			return err
		}(),
	} {
		if refusal(err) != "wamp.error.not_authorized" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAnExportHasWhatWaitedOnDiskAndForgettingLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	mustAppend(t, s.asDevice(t, one), "metrics", wire.Row{"tsp": 1767225600000, "n": 42, "text": "a,b"})
	s.apply(directory(deviceRealm)) // as uninstalling does: the realm goes first
	s.backends.Spare = func(project wire.Key) error { return errs.E(wire.Unavailable, "no room for %s", project) }
	_, err := s.backends.Export(t.Context(), dataRealm, []byte(template))
	if left, errDir := os.ReadDir(s.backends.Exports); errs.KindOf(err) != wire.Unavailable || errDir != nil || len(left) != 0 {
		t.Errorf("an export that the disk has no room for left %v: %v (%v)", left, err, errDir)
	}
	s.backends.Spare = nil
	where, err := s.backends.Export(t.Context(), dataRealm, []byte(template))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("tsp,device_key,authid,n,text\n2026-01-01 00:00:00+00,%d,%s,42,\"a,b\"\n", one.Key, one.Serial)
	if diff := cmp.Diff(want, csvOf(t, where, "metrics")); diff != "" {
		t.Error(diff)
	}
	if got := csvOf(t, where, "secrets"); got != "tsp,device_key,authid,n\n" {
		t.Errorf("an empty table is exported as %q", got)
	}
	for range 2 { // repeated after a crash
		if err := s.backends.Deprovision(t.Context(), dataRealm); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.backends.Provision(t.Context(), dataRealm, []byte(template)); err != nil {
		t.Fatal(err)
	}
	s.apply(directory(dataRealm, deviceRealm))
	s.awaitServed(t)
	if rows := history(t, s.asDevice(t, one), "metrics", wire.HistoryRequest{}); len(rows) != 0 {
		t.Errorf("a new installation has %d rows of the old one", len(rows))
	}
}
