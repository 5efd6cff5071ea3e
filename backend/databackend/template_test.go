package databackend_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/backend/databackend"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

const goodTemplate = `
data:
  tables:
    - tablename: metrics
      description: what the machine measures
      private: true
      chunkTimeInterval: 1 day
      dropAfter: 30 days
      maintainLatestFlagFor: [device_key, sensor]
      columnstore: true
      columns:
        - {id: tsp, name: Time, description: when, dataType: timestamp}
        - {id: sensor, dataType: string}
        - {id: temperature, dataType: numeric, path: "args[1].values[0].t"}
        - {id: Name, dataType: string, path: kwargs.DEVICE_NAME}
        - {id: detail, dataType: json}
agent:
  publish:
    - {source: host, table: metrics, every: 1s}
`

func TestATemplateIsReadInYAML(t *testing.T) {
	t.Parallel()
	got, err := databackend.ParseTemplate("t.yaml", []byte(goodTemplate))
	if err != nil {
		t.Fatal(err)
	}
	path := func(s string) databackend.Path {
		p, err := databackend.ParsePath(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	want := databackend.Template{
		Tables: []databackend.Table{{
			Name: "metrics", Description: "what the machine measures", Private: true,
			ChunkInterval: 24 * time.Hour, DropAfter: 30 * 24 * time.Hour,
			EntityKey: []string{"device_key", "sensor"}, Columnstore: true, ColumnstoreAfter: 14 * 24 * time.Hour,
			Columns: []databackend.Column{
				{ID: "tsp", Name: "Time", Description: "when", Type: databackend.Timestamp, Path: path("args[0].tsp")},
				{ID: "sensor", Type: databackend.String, Path: path("args[0].sensor")},
				{ID: "temperature", Type: databackend.Numeric, Path: path("args[1].values[0].t")},
				{ID: "Name", Type: databackend.String, Path: path("kwargs.DEVICE_NAME")},
				{ID: "detail", Type: databackend.JSON, Path: path("args[0].detail")},
			},
		}},
		Agent: []wire.AgentPublication{{Source: wire.SourceHost, Table: "metrics", IntervalMs: 1000}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("template differs (-want +got):\n%s", diff)
	}
}

func TestATemplateIsReadInJSONWithTabsAndSurrogates(t *testing.T) {
	t.Parallel()
	text := "{\n\t\"data\": {\"tables\": [{\n\t\t\"tablename\": \"a\", \"private\": false,\n\t\t\"columns\": [{\"id\": \"tsp\", \"dataType\": \"timestamp\", \"name\": \"\\ud83d\\ude00\"}]}]}\n}"
	got, err := databackend.ParseTemplate("t.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if name := got.Tables[0].Columns[0].Name; name != "😀" {
		t.Errorf("name is %q", name)
	}
}

func TestATemplateWithFaultsIsRefusedWithLineAndPath(t *testing.T) {
	t.Parallel()
	table := func(rest string) string {
		return "data:\n  tables:\n    - tablename: t\n      columns:\n        - {id: tsp, dataType: timestamp}\n" + rest
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":             {"", "t.yaml: empty"},
		"only a comment":    {"# nothing\n", "t.yaml: empty"},
		"a syntax error":    {"data:\n  tables: [", "t.yaml:2: neither JSON nor YAML"},
		"two documents":     {"data: {}\n---\ndata: {}\n", "t.yaml: more than one document"},
		"not an object":     {"- a\n", "t.yaml:1: want an object, have a list"},
		"no data":           {"agent: {publish: []}\n", "t.yaml:1: data is missing"},
		"no tables":         {"data: {}\n", "t.yaml:1: data: tables is missing"},
		"empty tables":      {"data:\n  tables: []\n", "t.yaml:2: data.tables: is empty"},
		"unknown property":  {table("      colour: red\n"), "t.yaml:6: data.tables[0].colour: unknown property; known here: tablename"},
		"unknown top level": {table("consumes: []\n"), "t.yaml:6: consumes: unknown property; known here: data, agent"},
		"property twice":    {table("      private: true\n      private: true\n"), "t.yaml:7: data.tables[0].private: given twice, first on line 6"},
		"bad table name":    {strings.Replace(table(""), "tablename: t", "tablename: My-Table", 1), `t.yaml:3: data.tables[0].tablename: "My-Table": want ^[a-z][a-z0-9_]*$`},
		"long table name":   {strings.Replace(table(""), "tablename: t", "tablename: "+strings.Repeat("t", 41), 1), "t.yaml:3: data.tables[0].tablename: longer than 40 characters"},
		"number as name":    {strings.Replace(table(""), "tablename: t", "tablename: 7", 1), "t.yaml:3: data.tables[0].tablename: want a string, have a number"},
		"name is null":      {strings.Replace(table(""), "tablename: t", "tablename:", 1), "t.yaml:3: data.tables[0].tablename: want a string, have nothing"},
		"no tsp":            {strings.Replace(table(""), "tsp", "time", 1), "t.yaml:5: data.tables[0].columns: one column must be {id: tsp, dataType: timestamp}"},
		"tsp is a number":   {strings.Replace(table(""), "timestamp", "numeric", 1), "t.yaml:5: data.tables[0].columns: tsp must have the dataType timestamp, has numeric"},
		"reserved id":       {table("        - {id: device_key, dataType: bigint}\n"), `t.yaml:6: data.tables[0].columns[1].id: "device_key" is reserved`},
		"reserved id, case": {table("        - {id: AuthID, dataType: string}\n"), `t.yaml:6: data.tables[0].columns[1].id: "AuthID" is reserved`},
		"seq":               {table("        - {id: seq, dataType: bigint}\n"), `data.tables[0].columns[1].id: "seq" is reserved`},
		"latest_flag":       {table("        - {id: latest_flag, dataType: boolean}\n"), `data.tables[0].columns[1].id: "latest_flag" is reserved`},
		"system column":     {table("        - {id: ctid, dataType: string}\n"), `data.tables[0].columns[1].id: "ctid" is reserved by the database`},
		"bad column id":     {table("        - {id: \"a b\", dataType: string}\n"), `data.tables[0].columns[1].id: "a b": want`},
		"column twice":      {table("        - {id: a, dataType: string}\n        - {id: a, dataType: json}\n"), `t.yaml:7: data.tables[0].columns[2].id: "a" is given twice, first on line 6`},
		"unknown dataType":  {table("        - {id: a, dataType: float}\n"), `t.yaml:6: data.tables[0].columns[1].dataType: "float": want one of numeric, bigint, timestamp, string, boolean, json`},
		"no dataType":       {table("        - {id: a}\n"), "t.yaml:6: data.tables[0].columns[1]: dataType is missing"},
		"bad path":          {table("        - {id: a, dataType: json, path: details.x}\n"), `t.yaml:6: data.tables[0].columns[1].path: "details.x": want a path`},
		"bad interval":      {table("      dropAfter: soon\n"), `t.yaml:6: data.tables[0].dropAfter: "soon": want a length of time`},
		"interval too long": {table("      chunkTimeInterval: 2 years\n"), `t.yaml:6: data.tables[0].chunkTimeInterval: "2 years": want 1h0m0s to`},
		"interval, number":  {table("      dropAfter: 30\n"), "t.yaml:6: data.tables[0].dropAfter: want a string, have a number"},
		"private is a word": {table("      private: sure\n"), "t.yaml:6: data.tables[0].private: want true or false, have a string"},
		"key has no column": {table("      maintainLatestFlagFor: [x]\n"), `t.yaml:6: data.tables[0].maintainLatestFlagFor[0]: the table has no column "x"`},
		"key is tsp":        {table("      maintainLatestFlagFor: [tsp]\n"), `"tsp" cannot name an entity`},
		"downsample":        {table("      downsample: {bucket: 1 hour}\n"), "t.yaml:6: data.tables[0].downsample: downsample is not supported by this version"},
		"transform":         {table("  transforms:\n    - {tablename: v, schedule: '* * * * *', sql: select 1, columns: [{id: n, dataType: bigint}]}\n"), "t.yaml:7: data.transforms[0]: transforms are not supported by this version"},
		"bad cron":          {table("  transforms:\n    - {tablename: v, schedule: often, sql: select 1, columns: [{id: n, dataType: bigint}]}\n"), `data.transforms[0].schedule: "often": want a cron expression`},
		"an alias":          {table("      description: &d x\n    - tablename: u\n      columns: *d\n"), "t.yaml:8: data.tables[1].columns: want a list, have an alias"},
		"a table twice":     {table("    - tablename: t\n      columns: [{id: tsp, dataType: timestamp}]\n"), `t.yaml:6: data.tables[1].tablename: "t" is given twice, first on line 3`},
		"unknown source":    {table("agent:\n  publish:\n    - {source: gpu, table: t, every: 1s}\n"), `t.yaml:8: agent.publish[0].source: "gpu": want host`},
		"agent, no table":   {table("agent:\n  publish:\n    - {source: host, table: u, every: 1s}\n"), `t.yaml:8: agent.publish[0].table: the template has no table "u"`},
		"agent twice":       {table("agent:\n  publish:\n    - {source: host, table: t, every: 1s}\n    - {source: host, table: t, every: 2s}\n"), "t.yaml:9: agent.publish[1]: host is published into t already"},
		"too large":         {strings.Repeat("#", databackend.MaxTemplate+1), "t.yaml: larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := databackend.ParseTemplate("t.yaml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got:\n%v\nwant it to contain:\n%s", err, c.want)
			}
			if errs.KindOf(err) != wire.Invalid || errs.UserText(err) != err.Error() {
				t.Errorf("kind %s with user text %q", errs.KindOf(err), errs.UserText(err))
			}
		})
	}
}

func TestAllFaultsOfATemplateAreReportedAtOnceInTheOrderOfLines(t *testing.T) {
	t.Parallel()
	_, err := databackend.ParseTemplate("t.json", []byte(`{
  "data": {"tables": [
    {"tablename": "A",
     "colour": 1,
     "columns": [{"id": "x", "dataType": "float"}]}
  ]},
  "agent": null
}`))
	var faults databackend.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("got %v", err)
	}
	var lines []int
	for _, f := range faults {
		lines = append(lines, f.Line)
	}
	if diff := cmp.Diff([]int{3, 4, 5, 5, 7}, lines); diff != "" {
		t.Errorf("lines differ (-want +got):\n%s\n%v", diff, err)
	}
	var first databackend.Fault
	if !errors.As(err, &first) || first.Path != "data.tables[0].tablename" {
		t.Errorf("first fault is %+v", first)
	}
}

func TestEveryDataTypeHasASQLType(t *testing.T) {
	t.Parallel()
	for _, d := range databackend.DataTypes {
		if d.SQL() == "" {
			t.Errorf("%s has none", d)
		}
	}
	if databackend.DataType("").SQL() != "" {
		t.Error("no type has one")
	}
}

func FuzzParseTemplate(f *testing.F) {
	f.Add([]byte(goodTemplate))
	f.Add([]byte(`{"data":{"tables":[{"tablename":"a","columns":[{"id":"tsp","dataType":"timestamp"}]}]}}`))
	f.Add([]byte("data: &a [*a]\n"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		template, err := databackend.ParseTemplate("f", data)
		if err != nil {
			if err.Error() == "" || errs.KindOf(err) != wire.Invalid {
				t.Fatalf("a refusal without a reason: %#v", err)
			}
			return
		}
		for _, table := range template.Tables {
			if tsp, ok := table.Column(databackend.ColumnTime); !ok || tsp.Type != databackend.Timestamp {
				t.Fatalf("table %q has no tsp", table.Name)
			}
			for _, c := range table.Columns {
				if again, err := databackend.ParsePath(c.Path.String()); err != nil || !cmp.Equal(again, c.Path) {
					t.Fatalf("path %q reads back as %v, %v", c.Path, again, err)
				}
			}
		}
	})
}
