package audit_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"bulkhead/backend/audit"
	"bulkhead/internal/secret"
)

var someone = audit.Actor{Kind: audit.APIKey, ID: "k"}

func TestAnEntryWithoutAnActorIsNotKept(t *testing.T) {
	t.Parallel()
	on := audit.Asset{Kind: "project", Key: 1}
	for name, entry := range map[string]audit.Entry{
		"nobody":      audit.New(audit.Actor{}, audit.ProjectCreate, 1, on),
		"no id":       audit.New(audit.Actor{Kind: audit.APIKey}, audit.ProjectCreate, 1, on),
		"no asset":    audit.New(someone, audit.ProjectCreate, 1, audit.Asset{}),
		"new action":  audit.New(someone, "project.explode", 1, on),
		"zero":        {},
		"old version": func() audit.Entry { e := audit.New(someone, audit.ProjectCreate, 1, on); e.Version = 0; return e }(),
	} {
		if entry.Check() == nil {
			t.Errorf("%s: passes", name)
		}
	}
	if err := audit.New(someone, audit.ProjectCreate, 1, on).Check(); err != nil {
		t.Error(err)
	}
}

func TestAnEntryTellsNoSecret(t *testing.T) {
	t.Parallel()
	held := struct {
		Name   string
		Secret secret.Value
	}{"press", secret.FromString("canary-in-entry")}
	entry := audit.New(someone, audit.DeviceCreate, 1, audit.Asset{Kind: "device"}).Changed(nil, held)
	text, err := json.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "canary") || entry.Before != nil || !strings.Contains(string(entry.After), "press") {
		t.Errorf("entry is %s", text)
	}
}

func TestWhatIsNoJSONShowsAsSuch(t *testing.T) {
	t.Parallel()
	entry := audit.New(someone, audit.DeviceCreate, 1, audit.Asset{Kind: "device"}).Changed(func() {}, nil)
	if got := string(entry.Before); got != `"cannot be told as JSON"` {
		t.Errorf("before is %s", got)
	}
}

func TestAnUndoneActionIsAWarning(t *testing.T) {
	t.Parallel()
	entry := audit.New(someone, audit.InstallationUndo, 1, audit.Asset{Kind: "installation"}).Failing()
	if entry.Outcome != audit.Failed || entry.Severity != audit.Warning || entry.Check() != nil {
		t.Errorf("entry is %+v", entry)
	}
}

func TestEveryActionHasASeverity(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "action.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || fmt.Sprint(spec.Type) != "Action" {
			return true
		}
		word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		count++
		if e := audit.New(someone, audit.Action(word), 1, audit.Asset{Kind: "x"}); e.Check() != nil {
			t.Errorf("%s: %v", word, e.Check())
		}
		return true
	})
	if count < 20 {
		t.Errorf("found %d actions", count)
	}
}
