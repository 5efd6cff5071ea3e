package wire

import "strings"

// Procedure is the URI of a remote procedure with the types of its request and reply. The request travels as args[0],
// the reply as the result's args[0].
type Procedure[Request, Reply any] struct{ URI string }

// Topic is the URI of a topic with the type of its events. The event travels as args[0].
type Topic[Event any] struct{ URI string }

// join glues URI components; it is the only place where a URI is built.
func join(components ...string) string { return strings.Join(components, ".") }

// Reserved first components of URIs in a data realm. A name that begins with one of them, with a digit or with "wamp"
// belongs to the platform.
var Reserved = []string{"wamp", "sys", "bulk", "append", "appendBulk", "transformed", "history", "databackend"}

// TableTopic is where a device's app publishes a row: args[0] is the row.
func TableTopic(project, app Key, table string) string {
	return join(project.String(), app.String(), table)
}

// BulkTopic is where a device's app publishes rows: args[0] is a non-empty list of rows, stored all or none.
func BulkTopic(project, app Key, table string) string {
	return join("bulk", TableTopic(project, app, table))
}

// AppendProcedure stores one row and answers when it is durable.
func AppendProcedure(project, app Key, table string) Procedure[Row, AppendReply] {
	return Procedure[Row, AppendReply]{join("append", TableTopic(project, app, table))}
}

// AppendBulkProcedure stores rows, all or none, and answers when they are durable.
func AppendBulkProcedure(project, app Key, table string) Procedure[[]Row, AppendReply] {
	return Procedure[[]Row, AppendReply]{join("appendBulk", TableTopic(project, app, table))}
}

// TransformedTopic carries each stored row.
func TransformedTopic(table string) Topic[Row] { return Topic[Row]{join("transformed", table)} }

// TransformedBulkTopic carries the rows that were stored together.
func TransformedBulkTopic(table string) Topic[[]Row] {
	return Topic[[]Row]{join("transformed", "bulk", table)}
}

// HistoryProcedure reads stored rows, ascending in time.
func HistoryProcedure(table string) Procedure[HistoryRequest, []Row] {
	return Procedure[HistoryRequest, []Row]{join("history", "transformed", table)}
}

// SeriesProcedure reads aggregates of stored rows in time buckets.
func SeriesProcedure(table string) Procedure[SeriesRequest, []Row] {
	return Procedure[SeriesRequest, []Row]{join("history", "transformed", "series", table)}
}

// RowErrorsProcedure lists the rows of a table that were refused lately, and why.
func RowErrorsProcedure(table string) Procedure[RowErrorsRequest, RowErrorsReply] {
	return Procedure[RowErrorsRequest, RowErrorsReply]{join("databackend", "errors", table)}
}

// DeviceFunction is a function that an app offers on a device, in the data realm.
func DeviceFunction(project, device, app Key, stage Stage, name string) string {
	return join(project.String(), device.String(), app.String(), stage.Upper(), name)
}

// AgentFunction is a function of the agent itself, in the device realm.
func AgentFunction(project, device Key, name string) string {
	return join(project.String(), device.String(), name)
}

// Names of the functions that every agent offers.
const (
	FunctionPing    = "ping"
	FunctionInfo    = "info"
	FunctionMetrics = "metrics"
)

// Assignments tells an agent which installations' realms it belongs in. The caller is known by its session.
var Assignments = Procedure[AssignmentsRequest, AssignmentsReply]{"sys.agent.assignments"}

// AssignmentsChanged tells the agents of one device that Assignments has a new answer.
func AssignmentsChanged(device Key) Topic[AssignmentsChange] {
	return Topic[AssignmentsChange]{join("sys", "agent", device.String(), "assignments_changed")}
}

// Presence carries a device's coming and going in its device realm; its going is the agent's testament.
func Presence(project, device Key) Topic[PresenceEvent] {
	return Topic[PresenceEvent]{join(project.String(), device.String(), "presence")}
}
