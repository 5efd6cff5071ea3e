package httpapi_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bulkhead/backend/audit"
	"bulkhead/backend/httpapi"
	"bulkhead/db"
)

// entriesOf are the entries of each operation that succeeds. Those that are not here change nothing and leave none.
var entriesOf = map[string][]audit.Action{
	"create-apikey": {audit.KeyCreate}, "create-app": {audit.AppCreate}, "create-device": {audit.DeviceCreate}, "create-group": {audit.GroupCreate},
	"create-project-provider": {audit.ProviderCreate}, "create-provider": {audit.ProviderCreate}, "create-project": {audit.ProjectCreate},
	"create-service": {audit.ServiceCreate}, "create-service-account": {audit.ServiceAccountCreate}, "create-ticket": {audit.TicketIssue},
	"create-user": {audit.UserCreate}, "export-table": {audit.TableExport}, "install-app": {audit.InstallationProvision, audit.InstallationReady},
	"reveal-app-credential": {audit.AppSecretReveal}, "reveal-database-credentials": {audit.CredentialReveal},
	"rotate-app": {audit.AppRotate}, "rotate-device": {audit.DeviceRotate}, "suspend-device": {audit.DeviceSuspend}, "resume-device": {audit.DeviceResume},
	"set-defaults": {audit.DefaultsUpdate}, "set-demanded-provider": {audit.DemandUpdate}, "update-app": {audit.AppUpdate}, "update-project": {audit.ProjectUpdate}, "update-group": {audit.GroupUpdate},
	"revoke-device": {audit.DeviceRevoke}, "delete-service": {audit.ServiceDelete}, "end-session": {audit.SessionKill},
	"delete-group": {audit.GroupDelete}, "delete-app": {audit.AppDelete},
	"uninstall-app": {audit.InstallationRemove, audit.InstallationDelete}, "delete-project": {audit.ProjectRemove, audit.InstallationDelete, audit.ProjectDelete},
	"update-provider": {audit.ProviderUpdate}, "update-project-provider": {audit.ProviderUpdate}, "delete-provider": {audit.ProviderDelete},
	"delete-project-provider": {audit.ProviderDelete}, "add-group-device": {audit.GroupAddDevice}, "remove-group-device": {audit.GroupRemoveDevice},
	"add-member": {audit.MemberAdd}, "limit-member": {audit.MemberUpdate}, "remove-member": {audit.MemberRemove}, "create-grant": {audit.GrantCreate},
	"create-transfer": {audit.OwnerOffer}, "suspend-user": {audit.UserSuspend, audit.LoginEnd}, "resume-user": {audit.UserResume}, "set-owner": {audit.UserUpdate},
	"delete-grant": {audit.GrantRevoke}, "withdraw-transfer": {audit.OwnerDecline}, "revoke-apikey": {audit.KeyRevoke},
	"suspend-service-account": {audit.ServiceAccountSuspend}, "resume-service-account": {audit.ServiceAccountResume},
	"delete-service-account": {audit.ServiceAccountDelete},
	"set-password":           {audit.PasswordSet, audit.LoginEnd}, "set-tunnel-policy": {audit.TunnelPolicy}, "set-storage-quota": {audit.ProjectQuota},
}

// takesAway are the operations that others need to come before, in this order.
var takesAway = []string{
	"delete-grant", "revoke-apikey",
	"resume-device", "resume-user", "resume-service-account", "remove-group-device", "withdraw-transfer", "remove-member", "delete-service-account",
	"delete-provider", "delete-project-provider", "delete-group", "delete-service", "end-session", "revoke-device", "uninstall-app", "delete-app", "delete-project",
}

// somebody is who the examples are about, alone and not as a part of another key.
var somebody = regexp.MustCompile(`\b77\b`)

// madeBy tells which operation made the thing that another is about.
var madeBy = map[string]string{
	"delete-grant": "create-grant", "withdraw-transfer": "create-transfer", "revoke-apikey": "create-apikey", "get-tunnel": "create-tunnel",
}

func TestEveryOperationLeavesExactlyItsEntries(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, _, in := s.plant("plant-a")
	ann := must[httpapi.User](s, 201, "POST", "/users", httpapi.UserCreate{Login: "ann", Name: "Ann", Password: "correct horse battery"}).Key.String()
	robot := must[httpapi.ServiceAccount](s, 201, "POST", "/service-accounts", httpapi.ServiceAccountCreate{Name: "robot"}).Key.String()
	must[httpapi.ServiceSecret](s, 201, "POST", "/realms/"+in.Realm+"/services", httpapi.ServiceCreate{Name: "dashboard"})
	for path, body := range map[string]string{
		"/projects/plant-a/groups":    `{"name":"hall"}`,
		"/providers":                  `{"name":"company","issuer":"https://one.example","client_id":"x"}`,
		"/projects/plant-a/providers": `{"name":"company","issuer":"https://two.example","client_id":"x"}`,
	} {
		must[struct{}](s, 201, "POST", path, body)
	}
	s.sessions.list = map[string][]httpapi.Session{in.Realm: {{Session: 5, AuthID: "b"}}}
	made := map[string]string{} // keys, by the operation that made them
	// concrete names what stands for others in the examples.
	concrete := func(op operation, text string) string {
		key := ann
		if strings.Contains(op.path, "service-accounts") {
			key = robot
		}
		if own := made[madeBy[op.id]]; own != "" {
			key = own
			text = strings.ReplaceAll(text, "aaaaaaaaaaaaaaaa", own)
		}
		name := op.id
		if op.id == "update-device" {
			name = "press-1" // as it is called: others look for it, and what changes nothing leaves no entry
		}
		return somebody.ReplaceAllString(strings.Replace(text, `"name":"x"`, `"name":"`+name+`"`, 1), key)
	}
	ops := operations(t, s)
	slices.SortStableFunc(ops, func(a, b operation) int { return slices.Index(takesAway, a.id) - slices.Index(takesAway, b.id) })
	succeeded := 0
	for _, op := range ops {
		before, body := newestEntry(t, s), bodyOf(op.id)
		if text, ok := body.(string); ok {
			body = concrete(op, text)
		}
		a := s.do(op.method, httpapi.Prefix+concrete(op, example(strings.Replace(op.path, "{service_account}", "77", 1), in.Realm)), body, header("If-Match", "*"))
		var got []audit.Action
		for _, e := range entriesAfter(t, s, before) {
			if a.status >= 400 && e.Outcome == audit.Done && e.Action != audit.AccessRefuse {
				t.Errorf("%s was refused with %d and left %s", op.id, a.status, e.Action)
			}
			got = append(got, e.Action)
			wantTold(t, e)
		}
		if a.status >= 400 {
			if onlyRefused[op.id] == "" {
				t.Errorf("%s was refused with %d: say in onlyRefused why, and where it succeeds\n%s", op.id, a.status, a.body)
			}
			continue
		}
		if onlyRefused[op.id] != "" {
			t.Errorf("%s is in onlyRefused and succeeds", op.id)
		}
		succeeded++
		var thing struct {
			Key    any    `json:"key"`
			ID     string `json:"id"`
			APIKey struct {
				ID string `json:"id"`
			} `json:"apikey"`
		}
		if decoder := json.NewDecoder(bytes.NewReader(a.body)); len(a.body) > 0 && op.method == "POST" {
			decoder.UseNumber()        // keys have more digits than a float
			_ = decoder.Decode(&thing) // what is no object made nothing
			made[op.id] = cmp.Or(thing.ID, thing.APIKey.ID, fmt.Sprint(thing.Key))
		}
		if fmt.Sprint(got) != fmt.Sprint(entriesOf[op.id]) {
			t.Errorf("%s %s left %q, want %q", op.method, op.id, got, entriesOf[op.id])
		}
	}
	if succeeded < 60 {
		t.Errorf("only %d of %d operations succeeded", succeeded, len(ops))
	}
}

func newestEntry(t testing.TB, s *stage) int64 {
	t.Helper()
	found, err := db.NewAudit(s.database.DB).Entries(t.Context(), audit.Query{Limit: 1})
	if err != nil || len(found) == 0 {
		t.Fatal(err)
	}
	return found[0].Sequence
}

func entriesAfter(t testing.TB, s *stage, sequence int64) []audit.Entry {
	t.Helper()
	found, err := db.NewAudit(s.database.DB).Entries(t.Context(), audit.Query{After: sequence, Oldest: true, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// wantTold finds in an entry only what the document says that entries of its action have.
func wantTold(t testing.TB, e audit.Entry) {
	t.Helper()
	told, known := audit.Tells[e.Action]
	if !known {
		return
	}
	for shape, text := range map[string]json.RawMessage{told.Before: e.Before, told.After: e.After} {
		var members map[string]json.RawMessage
		if len(text) > 0 && json.Unmarshal(text, &members) != nil {
			t.Errorf("%s tells no object: %s", e.Action, text)
		}
		for name := range members {
			if !slices.Contains(audit.Shapes[shape], name) {
				t.Errorf("%s has %q, which shape %q of docs/audit.md has not", e.Action, name, shape)
			}
		}
	}
}

const (
	byPeople  = "asked by a person who is logged in: logins_test.go"
	byOther   = "asked by the other side of the offer: db/privilege_test.go and backend/privilege/granting"
	byTunnels = "needs an agent at the other end: test/tunnel"
	bySigning = "needs a sequencer: test/audit"
	byKeys    = "needs the key file of a server: backend/rotation and internal/server"
)

// onlyRefused are the operations that one alone cannot make succeed, and why. TestWhatTakesTwoLeavesExactlyItsEntriesToo does.
var onlyRefused = map[string]string{
	"accept-transfer": byOther, "decline-transfer": byOther, "leave-project": "asked by the member itself: backend/privilege/granting",
	"remove-owner":   "the only owner stays: backend/privilege/granting",
	"approve-tunnel": byTunnels, "close-tunnel": byTunnels, "deny-tunnel": byTunnels, "extend-tunnel": byTunnels, "open-tunnel": byTunnels,
	"confirm-enrolment": byPeople, "create-enrolment": byPeople, "set-own-password": byPeople, "show-second-factor": byPeople, "login": byPeople,
	"end-login": byPeople, "reset-factor": byPeople,
	"drop-sealing-key": byKeys, "list-sealing-keys": byKeys, "rotate-sealing-keys": byKeys,
	"list-audit-logs": bySigning, "prove-audit-consistency": bySigning, "prove-audit-entry": bySigning, "show-audit-checkpoint": bySigning,
	"show-audit-key": bySigning, "show-audit-tile": bySigning,
	"explain-privilege":       "leaves no entry",
	"revoke-flags":            "the example takes back what was not given: backend/privilege/granting",
	"delete-project-provider": "the project demands it: providers_test.go",
	"delete-app":              "it is still installed: api_test.go",
}
