package audit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"bulkhead/backend/audit/ledger"
	"bulkhead/backend/audit/sequencer"
)

// The tamper table: what a person with superuser on the database does, which check notices it, and how soon. "verify" is
// `bulkhead audit verify` of a client that verified before, whenever it runs; "server" is the server's own check of all
// logs, each five minutes (here: each second); "guards" is its look at the database's guards, each five seconds.
var tampering = []struct {
	name     string
	do       func(s *scene)
	notices  string // verify, server, guards, or refused: the database itself
	says     string
	alsoFrom string // the reason of an alarm that comes too
}{
	{"edit an entry", func(s *scene) {
		s.unguarded(`UPDATE audit_entry SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'), 'device.create', 'device.revoke'), 'UTF8')
			WHERE log_key = $1 AND action = 'device.create'`, s.project)
	}, "verify", "its past was changed", sequencer.Tampered},
	{"edit who did it", func(s *scene) {
		s.unguarded(`UPDATE audit_entry SET leaf = convert_to(regexp_replace(convert_from(leaf, 'UTF8'), '"id":"[^"]*"', '"id":"somebody"'), 'UTF8') WHERE log_key = $1`, s.project)
	}, "verify", "its past was changed", sequencer.Tampered},
	{"delete an entry", func(s *scene) {
		s.unguarded(`DELETE FROM audit_entry WHERE sequence = (SELECT sequence FROM audit_leaf WHERE log_key = $1 AND place = 3)`, s.project)
	}, "verify", "no entries or hashes from here on", sequencer.Tampered},
	{"delete an entry and close the gap", func(s *scene) {
		s.unguarded(`DELETE FROM audit_leaf WHERE log_key = $1 AND place = 3`, s.project)
		s.unguarded(`UPDATE audit_leaf SET place = place - 1 + 1000000 WHERE log_key = $1 AND place > 3`, s.project)
		s.unguarded(`UPDATE audit_leaf SET place = place - 1000000 WHERE log_key = $1 AND place >= 1000000`, s.project)
	}, "verify", "no entries or hashes from here on", sequencer.Tampered},
	{"delete the last ten", func(s *scene) {
		s.unguarded(`DELETE FROM audit_entry WHERE sequence IN (SELECT sequence FROM audit_leaf WHERE log_key = $1 ORDER BY place DESC LIMIT 10)`, s.project)
		s.unguarded(`DELETE FROM audit_leaf WHERE log_key = $1 AND place >= (SELECT max(place) - 9 FROM audit_leaf WHERE log_key = $1)`, s.project)
	}, "verify", "no entries or hashes from here on", sequencer.Tampered},
	{"delete the last ten and set the checkpoint back", func(s *scene) { s.restore("early", s.project) },
		"verify", "its end was cut off or an older backup was restored", sequencer.Tampered},
	{"restore yesterday's backup", func(s *scene) { s.restore("early", 0) },
		"verify", "an older backup was restored", sequencer.Tampered},
	{"swap two entries", func(s *scene) {
		s.unguarded(`UPDATE audit_entry e SET leaf = other.leaf FROM audit_entry other, audit_leaf a, audit_leaf b
			WHERE a.log_key = $1 AND b.log_key = $1 AND a.place + b.place = 7 AND a.place IN (3, 4) AND e.sequence = a.sequence AND other.sequence = b.sequence`, s.project)
	}, "verify", "its past was changed", sequencer.Tampered},
	{"edit the stored hashes too", func(s *scene) { s.rehash() },
		"verify", "its past was changed", sequencer.Tampered},
	{"edit the stored hashes alone", func(s *scene) {
		s.unguarded(`UPDATE audit_tile SET hashes = set_byte(hashes, 5, get_byte(hashes, 5) # 1) WHERE log_key = $1 AND level = 0`, s.project)
	}, "verify", "or the hashes were", sequencer.Tampered},
	{"replace the checkpoint", func(s *scene) { s.resign() },
		"verify", "is not signed with the key", sequencer.Tampered},
	{"replace the checkpoint by another log's", func(s *scene) {
		s.unguarded(`UPDATE audit_checkpoint SET note = (SELECT note FROM audit_checkpoint WHERE log_key = 0) WHERE log_key = $1`, s.project)
	}, "verify", "the checkpoint is of", sequencer.Tampered},
	{"drop one project's log", func(s *scene) {
		for _, table := range []string{"audit_entry", "audit_leaf", "audit_tile", "audit_checkpoint"} {
			s.unguarded(`DELETE FROM `+table+` WHERE log_key = $1`, s.project)
		}
	}, "verify", "is not shown any more", sequencer.Tampered},
	{"file an entry under another action", func(s *scene) {
		s.unguarded(`UPDATE audit_entry SET action = 'project.update' WHERE log_key = $1 AND action = 'device.create'`, s.project)
	}, "server", "is not filed as what its leaf says", sequencer.Tampered},
	{"file an entry under another asset", func(s *scene) {
		s.unguarded(`UPDATE audit_entry SET asset_key = asset_key + 1 WHERE log_key = $1 AND action = 'device.create'`, s.project)
	}, "server", "is not filed as what its leaf says", sequencer.Tampered},
	{"file an entry under another time", func(s *scene) {
		s.unguarded(`UPDATE audit_entry SET recorded_at = recorded_at - interval '1 day' WHERE log_key = $1 AND action = 'device.create'`, s.project)
	}, "server", "is not filed as what its leaf says", sequencer.Tampered},
	{"insert an entry and no place for it", func(s *scene) {
		s.unguarded(`INSERT INTO audit_entry SELECT sequence + 1000000, log_key, recorded_at - interval '1 day', action, severity, actor_id, asset_kind, asset_key, asset_name, leaf
			FROM audit_entry WHERE log_key = $1 LIMIT 1`, s.project)
	}, "server", "is in no log", sequencer.Tampered},
	{"set session_replication_role", func(s *scene) {
		s.refused(`SET session_replication_role = replica; UPDATE audit_entry SET severity = 'info'`, "append only")
		s.refused(`SET session_replication_role = replica; DELETE FROM audit_leaf`, "append only")
	}, "refused", "", ""},
	{"disable the triggers", func(s *scene) { s.exec(`ALTER TABLE audit_entry DISABLE TRIGGER ALL`) },
		"guards", "audit_entry_keep_rows is off or gone", sequencer.Guards},
	{"edit a grant without an entry", func(s *scene) {
		s.exec(`INSERT INTO privilege_grant (key, principal_key, asset_kind, app_key, flags, given_by_key, given_at)
			SELECT 4711, p.key, 'app', a.key, '{app.read}', p.key, now() FROM principal p, app a LIMIT 1`)
	}, "guards", "4711", sequencer.Grants},
	{"let a role write entries", func(s *scene) { s.exec(`GRANT INSERT ON audit_entry TO bulkhead_audit_sequencer`) },
		"guards", "may change the table audit_entry", sequencer.Guards},
}

func TestWhateverASuperuserDoesToTheDatabaseIsNoticed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.devices(0, 12)
	s.signed()
	s.backup("early")
	s.devices(12, 24)
	if code, said := s.cli("app", "create", "gauge"); code != 0 {
		t.Fatal(said)
	}
	s.signed()
	s.wantVerify(0, "")
	s.backup("now")
	for _, row := range tampering {
		t.Run(row.name, func(t *testing.T) {
			s.t = t
			defer func() { s.t = t }()
			row.do(s)
			if row.notices == "verify" {
				s.wantVerify(7, row.says)
			}
			if row.alsoFrom != "" {
				says := row.says
				if row.notices == "verify" {
					says = "" // the server words it for itself
				}
				s.wantAlarm(row.alsoFrom, says)
			}
			s.exec(`DELETE FROM privilege_grant WHERE key = 4711`)
			s.exec(`REVOKE INSERT ON audit_entry FROM bulkhead_audit_sequencer`)
			s.restore("now", 0) // and the triggers are on again
			s.wantVerify(0, "")
			s.wantNoAlarm()
		})
	}
}

// rehash edits an entry and makes the stored hashes fit.
func (s *scene) rehash() {
	s.unguarded(`UPDATE audit_entry SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '"severity":"info"', '"severity":"none"'), 'UTF8') WHERE log_key = $1`, s.project)
	var hashes []byte
	for _, leaf := range s.leaves() {
		h := ledger.HashOf(leaf)
		hashes = append(hashes, h[:]...)
	}
	s.unguarded(`UPDATE audit_tile SET hashes = $2 WHERE log_key = $1 AND level = 0`, s.project, hashes)
}

// resign replaces the whole past and signs it, with the only key that a superuser of the database can have: another.
func (s *scene) resign() {
	s.rehash()
	var edges ledger.Edges
	for _, leaf := range s.leaves() {
		edges.Append(ledger.HashOf(leaf), nil)
	}
	other, err := sequencer.EnsureKey(filepath.Join(s.t.TempDir(), "key"))
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := ledger.Sign(ledger.Origin(s.signerName(), ledger.Log(s.project)), edges.Size(), edges.Root(), named{other.Signer, s.signerName()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.unguarded(`UPDATE audit_checkpoint SET note = $2 WHERE log_key = $1`, s.project, c.Note)
}

// named is a signer that claims another name.
type named struct {
	note.Signer
	name string
}

func (n named) Name() string { return n.name }

func TestAnEntryDatedBackIsNeverPlaced(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.devices(0, 2)
	s.signed()
	s.wantVerify(0, "")
	s.unguarded(`WITH made AS (INSERT INTO audit_entry SELECT sequence + 1000000, log_key, recorded_at - interval '1 day', action, severity, actor_id, asset_kind, asset_key, asset_name,
			convert_to(regexp_replace(regexp_replace(convert_from(leaf, 'UTF8'), '"sequence":(\d+)', '"sequence":' || sequence + 1000000), '"time":"20\d\d', '"time":"2001'), 'UTF8')
		FROM audit_entry WHERE log_key = $1 LIMIT 1 RETURNING sequence) INSERT INTO audit_queue SELECT sequence, clock_timestamp() FROM made`, s.project)
	begun := time.Now()
	s.wantAlarm(sequencer.Tampered, "dated back")
	t.Logf("noticed after %s", time.Since(begun).Round(100*time.Millisecond))
	s.wantVerify(0, "") // nothing was signed that is not true
}

func TestAStoppedSequencerIsAnAlarm(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.exec(`UPDATE audit_lease SET holder = 'somebody', until = 'infinity', epoch = epoch + 1`)
	s.devices(0, 1) // entries are written all the same
	begun := time.Now()
	s.wantAlarm(sequencer.Stopped, "no entry was signed")
	t.Logf("noticed after %s", time.Since(begun).Round(100*time.Millisecond))
	s.exec(`UPDATE audit_lease SET until = '-infinity'`)
	s.wantNoAlarm()
	s.signed()
	s.wantVerify(0, "")
}

func TestAnOlderBackupIsNoticedByTheServersJournalToo(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.devices(0, 3)
	s.signed()
	s.backup("early")
	s.devices(3, 6)
	s.signed()
	s.stop()
	s.restore("early", 0)
	s.start()
	s.wantAlarm(sequencer.Tampered, "an older backup was restored")
}

func TestWhereTheLogIsLockedNothingIsChanged(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	tx := s.begin(`LOCK TABLE audit_entry IN EXCLUSIVE MODE`)
	code, said := s.cli("project", "create", "plant-locked")
	if code != 6 || !strings.Contains(said, "the audit log cannot be written, so nothing was changed") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code, _ := s.cli("project", "show", "plant-locked"); code != 3 {
		t.Errorf("the project is there: exit code %d", code)
	}
	if code, said := s.cli("project", "create", "plant-locked"); code != 0 {
		t.Errorf("and it cannot be made now: %s", said)
	}
}

func TestOneEntryIsProvedOfflineWithNothingButTheKey(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.devices(0, 5)
	s.signed()
	var sequence int64
	s.scan(&sequence, `SELECT max(sequence) FROM audit_entry WHERE log_key = $1`, s.project)
	file := filepath.Join(t.TempDir(), "entry.proof")
	if code, said := s.cli("audit", "prove", fmt.Sprint(sequence), "--file", file); code != 0 {
		t.Fatal(said)
	}
	tiles := filepath.Join(t.TempDir(), "tiles")
	if code, said := s.cli("audit", "export", "--tiles", tiles); code != 0 {
		t.Fatal(said)
	}
	s.devices(5, 6)
	s.signed()
	s.wantVerify(0, "never")
	if code, said := s.offline("audit", "verify", tiles); code != 0 || !strings.Contains(said, "(newer)") { // and is none that was cut off
		t.Errorf("a directory that is older than what was seen: %d %s", code, said)
	}
	s.wantVerify(0, "") // what was seen is remembered still
	s.stop()
	key := s.publicKey()
	s.contexts = t.TempDir() // somebody else, years later
	for _, args := range [][]string{{file}, {tiles}} {
		if code, said := s.offline(append([]string{"audit", "verify", "--key", key}, args...)...); code != 0 {
			t.Errorf("%v: %d %s", args, code, said)
		}
		if code, said := s.offline(append([]string{"audit", "verify"}, args...)...); code != 7 || !strings.Contains(said, "nothing says that the signer") {
			t.Errorf("believed without a key: %d %s", code, said)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "device.create", "device.revoke", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := s.offline("audit", "verify", "--key", key, file); code != 7 {
		t.Errorf("a forged proof: %d %s", code, said)
	}
	bundles, err := filepath.Glob(filepath.Join(tiles, fmt.Sprint(s.project), "tile", "entries", "*", "*"))
	if err != nil || len(bundles) == 0 {
		t.Fatal(bundles, err)
	}
	text, err = os.ReadFile(bundles[0])
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)-10] ^= 1
	if err := os.WriteFile(bundles[0], text, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := s.offline("audit", "verify", "--key", key, tiles); code != 7 {
		t.Errorf("a forged directory: %d %s", code, said)
	}
}
