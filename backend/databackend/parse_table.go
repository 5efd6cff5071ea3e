package databackend

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"bulkhead/wire"
)

var (
	tableNameForm  = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	columnNameForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// systemColumns are the columns that PostgreSQL gives every table; a table cannot declare them.
	systemColumns = []string{"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}
)

const defaultColumnstoreAfter = 14 * day

func (p *parser) template(root *yaml.Node) Template {
	top := p.object(root, "", "data", "agent")
	p.require(top, "data")
	var t Template
	if n := top.values["data"]; n != nil {
		t.Tables = p.data(n)
	}
	if n := top.values["agent"]; n != nil {
		t.Agent = p.agent(n, t.Tables)
	}
	return t
}

func (p *parser) data(n *yaml.Node) []Table {
	data := p.object(n, "data", "tables", "transforms")
	p.require(data, "tables")
	var tables []Table
	taken := map[string]int{}
	p.list(data, "tables", MaxTables, func(n *yaml.Node, path string) {
		table := p.table(n, path)
		p.unique(n, path+".tablename", table.Name, taken)
		tables = append(tables, table)
	})
	p.list(data, "transforms", MaxTables, func(n *yaml.Node, path string) {
		p.unique(n, path+".tablename", p.transform(n, path), taken)
	})
	return tables
}

// unique reports a name that was given before; an empty one was reported already.
func (p *parser) unique(n *yaml.Node, path, name string, taken map[string]int) {
	if name == "" {
		return
	}
	if line, ok := taken[name]; ok {
		p.fault(n, path, "%q is given twice, first on line %d", name, line)
		return
	}
	taken[name] = n.Line
}

func (p *parser) table(n *yaml.Node, path string) Table {
	f := p.object(n, path, "tablename", "description", "columns", "private", "chunkTimeInterval", "dropAfter",
		"maintainLatestFlagFor", "columnstore", "columnstoreAfter", "downsample")
	p.require(f, "tablename", "columns")
	t := Table{
		Name:             p.tableName(f),
		Description:      p.text(f, "description"),
		Columns:          p.columns(f),
		Private:          p.boolean(f, "private"),
		ChunkInterval:    p.interval(f, "chunkTimeInterval", time.Hour, 366*day, 0),
		DropAfter:        p.interval(f, "dropAfter", time.Hour, maxInterval, 0),
		Columnstore:      p.boolean(f, "columnstore"),
		ColumnstoreAfter: p.interval(f, "columnstoreAfter", time.Hour, maxInterval, defaultColumnstoreAfter),
	}
	t.EntityKey = p.entityKey(f, t)
	if n := f.values["downsample"]; n != nil {
		p.downsample(n, f.at("downsample"))
	}
	return t
}

func (p *parser) tableName(f fields) string {
	name, ok := p.name(f, "tablename")
	switch {
	case !ok:
		return ""
	case !tableNameForm.MatchString(name):
		p.fault(f.values["tablename"], f.at("tablename"), "%q: want %s", name, tableNameForm)
		return ""
	case len(name) > MaxTableName:
		p.fault(f.values["tablename"], f.at("tablename"), "longer than %d characters", MaxTableName)
		return ""
	default:
		return name
	}
}

// columns reads the columns and asks for one that is {id: tsp, dataType: timestamp}.
func (p *parser) columns(f fields) []Column {
	columns := p.columnList(f)
	n := f.values["columns"]
	if n == nil || n.Kind != yaml.SequenceNode {
		return columns // reported already
	}
	i := slices.IndexFunc(columns, func(c Column) bool { return c.ID == ColumnTime })
	switch {
	case i < 0:
		p.fault(n, f.at("columns"), "one column must be {id: tsp, dataType: timestamp}")
	case columns[i].Type != Timestamp && columns[i].Type != "":
		p.fault(n, f.at("columns"), "tsp must have the dataType timestamp, has %s", columns[i].Type)
	}
	return columns
}

func (p *parser) columnList(f fields) []Column {
	var columns []Column
	taken := map[string]int{}
	p.list(f, "columns", MaxColumns, func(n *yaml.Node, path string) {
		c := p.column(n, path)
		p.unique(n, path+".id", c.ID, taken)
		columns = append(columns, c)
	})
	return columns
}

func (p *parser) column(n *yaml.Node, path string) Column {
	f := p.object(n, path, "id", "name", "description", "dataType", "path")
	p.require(f, "id", "dataType")
	c := Column{ID: p.columnID(f), Name: p.text(f, "name"), Description: p.text(f, "description"), Type: p.dataType(f)}
	c.Path = defaultPath(c.ID)
	if text := p.text(f, "path"); text != "" {
		var err error
		if c.Path, err = ParsePath(text); err != nil {
			p.fault(f.values["path"], f.at("path"), "%q: %s", text, err)
		}
	}
	return c
}

func (p *parser) columnID(f fields) string {
	id, ok := p.name(f, "id")
	if !ok {
		return ""
	}
	n, path := f.values["id"], f.at("id")
	switch lower := strings.ToLower(id); {
	case !columnNameForm.MatchString(id):
		p.fault(n, path, "%q: want %s", id, columnNameForm)
	case len(id) > MaxColumnName:
		p.fault(n, path, "longer than %d characters", MaxColumnName)
	case slices.Contains(Reserved, lower):
		p.fault(n, path, "%q is reserved: every table has it", id)
	case slices.Contains(systemColumns, lower):
		p.fault(n, path, "%q is reserved by the database", id)
	case lower == ColumnTime && id != ColumnTime:
		p.fault(n, path, "%q: write tsp in lower case", id)
	default:
		return id
	}
	return ""
}

func (p *parser) dataType(f fields) DataType {
	text, ok := p.name(f, "dataType")
	if !ok {
		return ""
	}
	if d := DataType(text); slices.Contains(DataTypes, d) {
		return d
	}
	p.fault(f.values["dataType"], f.at("dataType"), "%q: want one of %s", text, joined(DataTypes))
	return ""
}

func joined[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}

// entityKey reads the columns that name an entity: declared ones, or device_key and authid.
func (p *parser) entityKey(f fields, t Table) []string {
	var key []string
	p.list(f, "maintainLatestFlagFor", MaxColumns, func(n *yaml.Node, path string) {
		id := p.textOf(n, path)
		column, declared := t.Column(id)
		switch {
		case slices.Contains(key, id) && id != "":
			p.fault(n, path, "%q is given twice", id)
		case id == ColumnTime || column.Type == JSON:
			p.fault(n, path, "%q cannot name an entity", id)
		case !declared && id != ColumnDevice && id != ColumnAuthID && n.ShortTag() == "!!str":
			p.fault(n, path, "the table has no column %q", id)
		}
		key = append(key, id)
	})
	return key
}

func (p *parser) downsample(n *yaml.Node, path string) {
	f := p.object(n, path, "bucket", "keepFor", "paths")
	p.require(f, "bucket")
	p.interval(f, "bucket", time.Second, maxInterval, 0)
	p.interval(f, "keepFor", time.Hour, maxInterval, 0)
	p.list(f, "paths", MaxColumns, func(n *yaml.Node, path string) { p.textOf(n, path) })
	p.fault(n, path, "downsample is not supported by this version; history.transformed.series aggregates on reading")
}

var cronForm = regexp.MustCompile(`^(?:@(?:hourly|daily|weekly|monthly|yearly|annually|midnight)|[0-9A-Za-z*/,?#-]+(?: +[0-9A-Za-z*/,?#-]+){4,5})$`)

// transform checks a transform and reports that it would not be run; it gives the name.
func (p *parser) transform(n *yaml.Node, path string) string {
	f := p.object(n, path, "tablename", "description", "schedule", "sql", "columns", "private")
	p.require(f, "tablename", "sql", "columns")
	name := p.tableName(f)
	p.name(f, "sql")
	p.text(f, "description")
	p.boolean(f, "private")
	p.columnList(f)
	if s := p.text(f, "schedule"); s != "" && !cronForm.MatchString(s) {
		p.fault(f.values["schedule"], f.at("schedule"), "%q: want a cron expression of five fields", s)
	}
	p.fault(n, path, "transforms are not supported by this version")
	return name
}

func (p *parser) agent(n *yaml.Node, tables []Table) []wire.AgentPublication {
	f := p.object(n, "agent", "publish")
	p.require(f, "publish")
	var all []wire.AgentPublication
	p.list(f, "publish", MaxTables, func(n *yaml.Node, path string) {
		publication := p.publication(n, path, tables)
		same := func(o wire.AgentPublication) bool {
			return o.Source == publication.Source && o.Table == publication.Table
		}
		if publication.Source != "" && publication.Table != "" && slices.ContainsFunc(all, same) {
			p.fault(n, path, "%s is published into %s already", publication.Source, publication.Table)
		}
		all = append(all, publication)
	})
	return all
}

func (p *parser) publication(n *yaml.Node, path string, tables []Table) wire.AgentPublication {
	f := p.object(n, path, "source", "table", "every")
	p.require(f, "source", "table", "every")
	source, _ := p.name(f, "source")
	if source != "" && source != wire.SourceHost {
		p.fault(f.values["source"], f.at("source"), "%q: want %s", source, wire.SourceHost)
		source = ""
	}
	table, _ := p.name(f, "table")
	if table != "" && !slices.ContainsFunc(tables, func(t Table) bool { return t.Name == table }) {
		p.fault(f.values["table"], f.at("table"), "the template has no table %q", table)
	}
	every := p.interval(f, "every", 100*time.Millisecond, day, time.Second)
	return wire.AgentPublication{Source: source, Table: table, IntervalMs: every.Milliseconds()}
}
