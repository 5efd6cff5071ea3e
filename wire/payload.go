package wire

// Row is one row of a table, by column id. In stored rows "tsp" is epoch milliseconds and "device_key" and "authid"
// are those of the session that published it.
type Row map[string]any

// AppendReply answers AppendProcedure and AppendBulkProcedure.
type AppendReply struct {
	Success bool `json:"success"`
	Count   int  `json:"count,omitempty"`
	// Durable says how the rows were made safe: "committed" in the database, or "spilled" to the server's disk.
	Durable string `json:"durable,omitempty"`
}

// Submission is what a session handed in for one table: the payload as it came, the identity as the router knows it.
type Submission struct {
	Realm  string
	Table  string
	Device Key    // of the session; zero when it is no device
	AuthID string // of the session
	Bulk   bool   // Args[0] is a list of rows
	Args   []any
	Kwargs map[string]any // hints, never identity
}

// HistoryRequest selects stored rows. Times are epoch milliseconds; TimeRange is [from, to), either may be null.
type HistoryRequest struct {
	Limit     int      `json:"limit,omitempty"`
	Offset    int      `json:"offset,omitempty"`
	TimeRange []any    `json:"timeRange,omitempty"`
	FilterAnd []Filter `json:"filterAnd,omitempty"`
	Columns   []string `json:"columns,omitempty"`
}

// Filter is one condition, or Latest: the newest row of each entity.
type Filter struct {
	Column   string `json:"column,omitempty"`
	Operator string `json:"operator,omitempty"`
	Value    any    `json:"value,omitempty"`
	Latest   bool   `json:"latest,omitempty"`
}

// SeriesRequest selects aggregates: each metric of each bucket of BucketMs milliseconds.
type SeriesRequest struct {
	Metrics   []Metric `json:"metrics"`
	Limit     int      `json:"limit,omitempty"`
	TimeRange []any    `json:"timeRange,omitempty"`
	BucketMs  int64    `json:"bucketMs,omitempty"`
	GroupBy   []string `json:"groupBy,omitempty"`
	FilterAnd []Filter `json:"filterAnd,omitempty"`
}

// Metric is one aggregate: Method (AVG SUM COUNT MIN MAX FIRST LAST) over the column Ref.
type Metric struct {
	Ref    string `json:"ref"`
	Method string `json:"method"`
}

// RowErrorsRequest selects the newest refusals; Limit is 1 to 1000, 100 where it is absent.
type RowErrorsRequest struct {
	Limit int `json:"limit,omitempty"`
}

// RowErrorsReply has the refusals that the caller may see, newest first, and how many there were since the server started.
type RowErrorsReply struct {
	Total  uint64     `json:"total"`
	Errors []RowError `json:"errors"`
}

// RowError is one refused row. It has the reason, not the row: rows are the tenant's.
type RowError struct {
	Time   int64  `json:"tsp"`
	Device Key    `json:"device_key,omitempty"`
	AuthID string `json:"authid"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

// AssignmentsRequest carries the contract version of the agent that asks.
type AssignmentsRequest struct {
	Version int `json:"version"`
}

// AssignmentsReply is all that an agent is told of the installations it serves.
type AssignmentsReply struct {
	Assignments []Assignment `json:"assignments"`
}

// Assignment is one installation that a device serves. The agent is told the realm; it never derives one.
type Assignment struct {
	Realm   string `json:"realm"`
	Project Key    `json:"project_key"`
	App     Key    `json:"app_key"`
	AppName string `json:"app"`
	Stage   Stage  `json:"stage"`
	// Publish lists what the agent itself publishes into the realm.
	Publish []AgentPublication `json:"publish,omitempty"`
}

// AgentPublication has the agent publish a source of its own into a table at an interval.
type AgentPublication struct {
	Source     string `json:"source"` // SourceHost
	Table      string `json:"table"`
	IntervalMs int64  `json:"interval_ms"`
}

// SourceHost is the source that samples the device's own CPU, load, memory, disks, network and processes.
const SourceHost = "host"

// AssignmentsChange asks an agent to call Assignments again.
type AssignmentsChange struct {
	Reason string `json:"reason"`
}

// PresenceEvent says that a device came or went.
type PresenceEvent struct {
	Device Key    `json:"device_key"`
	Serial Serial `json:"serial"`
	Online bool   `json:"online"`
}
