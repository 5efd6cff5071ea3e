package wire

// Kind is what a caller may branch on when something fails; see internal/errs for what each becomes in WAMP, HTTP,
// exit codes and logs.
type Kind string

// The kinds of error. There are no others.
const (
	Invalid         Kind = "invalid"
	Unauthenticated Kind = "unauthenticated"
	Denied          Kind = "denied"
	NotFound        Kind = "not_found"
	Conflict        Kind = "conflict"
	Exhausted       Kind = "exhausted"
	Unavailable     Kind = "unavailable"
	Canceled        Kind = "canceled"
	Internal        Kind = "internal"
)

// Kinds lists every kind, for tables that must be complete.
var Kinds = []Kind{Invalid, Unauthenticated, Denied, NotFound, Conflict, Exhausted, Unavailable, Canceled, Internal}

// Errors of the data plane; existing clients branch on these URIs.
const (
	dataError = "sys.dataservice.error."

	ErrRateLimited         = dataError + "rate_limited"
	ErrResultTooLarge      = dataError + "result_too_large"
	ErrInvalidLimit        = dataError + "invalid_limit"
	ErrInvalidTimeRange    = dataError + "invalid_time_range"
	ErrInvalidMetric       = dataError + "invalid_metric"
	ErrInvalidGroupBy      = dataError + "invalid_group_by"
	ErrSeriesTooManyGroups = dataError + "series_too_many_groups"
	ErrStorageFull         = dataError + "storage_full"
	ErrEntityKeyConflict   = dataError + "entity_key_conflict"
	ErrInvalidFilter       = dataError + "invalid_filter"
	ErrNoSuchTable         = dataError + "no_such_table"
	ErrInvalidRow          = dataError + "invalid_row"
)
