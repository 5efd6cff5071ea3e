package provision

import (
	"crypto/rand"
	"encoding/base32"
	"strings"

	"github.com/jackc/pgx/v5"
)

// drawName gives a name that tells nothing and that nobody guesses: names on the server are seen across tenants.
func drawName() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails (Go 1.24 and later)
	return "p_" + strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// ident is the one function by which a name becomes SQL: the parts of a name that may have a schema before it.
func ident(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// idents quotes each of several names and joins them with commas.
func idents(names ...string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = ident(n)
	}
	return strings.Join(quoted, ", ")
}

// literal is the one function by which text becomes SQL, where a statement takes no parameter. Sessions of ours have
// standard_conforming_strings on.
func literal(text string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(text, "\x00", ""), "'", "''") + "'"
}

// Names of an installation's roles are derived from its schema's.
func ownerRole(schema string) string { return schema + "_owner" }
func rwRole(schema string) string    { return schema + "_rw" }
func roRole(schema string) string    { return schema + "_ro" }

// groupRole is the role that cannot log in and that has the rights of an access.
func groupRole(schema string, a access) string { return schema + "_" + string(a) }

// loginRole is one of the pair of logins of an access.
func loginRole(schema string, a access, slot int) string {
	return groupRole(schema, a) + "_" + string(rune('a'+slot))
}

// connectRole may connect to a database. Logins are members of it: the database's own list of rights stays short.
func connectRole(database string) string { return database + "_connect" }
