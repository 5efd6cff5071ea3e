package databackend

// Driver is how an installation's schema is kept apart from those of other projects.
type Driver string

// The drivers.
const (
	// DriverDatabase gives each project a database and each of its installations a schema in it.
	DriverDatabase Driver = "database"
	// DriverSchema keeps the schemas of all projects in one database.
	DriverSchema Driver = "schema"
)

// Placement is where an installation's tables are and which roles reach them. All names in it are opaque: none of them
// tells whose data it is. The zero Placement is nowhere.
type Placement struct {
	Realm    string // the data realm that it serves
	Driver   Driver
	Database string
	Schema   string
	Owner    string // owns the objects; cannot log in
	RW       string // reads and writes; cannot log in
	RO       string // reads; cannot log in
	// Timescale says that the tables are hypertables; otherwise they are partitioned natively.
	Timescale bool
	// Template is the version of the template that the tables have.
	Template int
}
