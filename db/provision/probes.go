package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/db/pgerr"
)

// probes are written from what PostgreSQL offers, catalog by catalog and command by command, and not from what harden.sql
// closes. A probe that becomes open is a finding; one that cannot be open for anybody is a mistake, which a test finds.
var probes = concat(reachProbes, becomeProbes, catalogProbes, numberProbes, watchProbes, disturbProbes, serverProbes, timescaleProbes)

func concat(groups ...[]probe) []probe {
	var all []probe
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

// reachProbes: the victim's rows.
var reachProbes = []probe{
	{group: "reach", name: "read rows", essential: true, try: tells("SELECT * FROM {victim}")},
	{group: "reach", name: "read rows by COPY", essential: true, try: copies("COPY (SELECT * FROM {victim}) TO STDOUT")},
	{group: "reach", name: "count rows", essential: true, try: answers("SELECT count(*) FROM {victim}")},
	{group: "reach", name: "explain a query", essential: true, try: answers("EXPLAIN SELECT * FROM {victim}")},
	{group: "reach", name: "write rows", essential: true, try: undone("INSERT INTO {victim} (tsp, device_key, seq) VALUES (now(), 2, 2)")},
	{group: "reach", name: "change rows", essential: true, try: undone("UPDATE {victim} SET device_key = 9")},
	{group: "reach", name: "delete rows", essential: true, try: undone("DELETE FROM {victim}")},
	{group: "reach", name: "lock the table", essential: true, try: undone("LOCK TABLE {victim} IN ACCESS SHARE MODE")},
	{group: "reach", name: "change the table", essential: true, try: undone("COMMENT ON TABLE {victim} IS 'x'")},
	{group: "reach", name: "create in the schema", essential: true, try: undone("CREATE TABLE {schema}.intruder (n int)")},
	{group: "reach", name: "use the row type", essential: true, try: runs("SELECT NULL::{victim}")},
	{group: "reach", name: "grant oneself rights", essential: true, try: undone("GRANT SELECT ON {victim} TO {ownrole}")},
	{group: "reach", name: "read rows as XML", essential: true, try: answers("SELECT table_to_xml({oid.table}::regclass, true, false, '')")},
	{group: "reach", name: "read rows by a query in text", essential: true, try: tells("SELECT query_to_xml('SELECT * FROM ' || '{victim}', true, false, '')")},
	{group: "reach", name: "enter the victim's database", essential: true, try: func(ctx context.Context, s *scene) (string, error) {
		if s.a.Database.Name == s.b.Database.Name && s.identity == nil {
			return "", errClosed // one database by design: the schema is the wall
		}
		return enters(func(s *scene) string { return s.b.Database.Name })(ctx, s)
	}},
	{group: "reach", name: "enter the platform's database", essential: true, try: enters(func(s *scene) string { return s.p.admin.Database })},
	{group: "reach", name: "enter postgres", try: enters(func(*scene) string { return "postgres" })},
	{group: "reach", name: "enter template1", try: enters(func(*scene) string { return "template1" })},
	{group: "reach", name: "use dblink or a foreign server", essential: true, try: undone("CREATE EXTENSION dblink SCHEMA public")},
	{group: "reach", name: "define a foreign data wrapper", try: undone("CREATE FOREIGN DATA WRAPPER w")},
}

// becomeProbes: the victim's, or anybody's, rights.
var becomeProbes = []probe{
	{group: "become", name: "take the victim's role", essential: true, try: runs("SET ROLE {rw}")},
	{group: "become", name: "take the victim's identity", essential: true, try: runs("SET SESSION AUTHORIZATION {login}")},
	{group: "become", name: "take one's own owner's role", essential: true, try: runs("SET ROLE {ownowner}")},
	{group: "become", name: "join the victim's group", essential: true, try: undone("GRANT {rw} TO {ownrole}")},
	{group: "become", name: "let the victim's login in to one's own group", try: undone("GRANT {ownrw} TO {login}")},
	{group: "become", name: "become superuser", essential: true, try: undone("ALTER ROLE {ownrole} SUPERUSER")},
	{group: "become", name: "create a role", essential: true, try: undone("CREATE ROLE intruder LOGIN SUPERUSER")},
	{group: "become", name: "set the victim's password", essential: true, try: undone("ALTER ROLE {login} PASSWORD 'x'")},
	{group: "become", name: "read verifiers of passwords", essential: true, try: answers("SELECT rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL")},
	{group: "become", name: "read verifiers by pg_shadow", essential: true, try: answers("SELECT passwd FROM pg_shadow WHERE passwd IS NOT NULL")},
	{group: "become", name: "join a role of the server", essential: true, try: undone("GRANT pg_read_all_data TO {ownrole}")},
	{group: "become", name: "run code", essential: true, try: undone("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'")},
	{group: "become", name: "run a block of code", try: runs("DO 'BEGIN END'")},
	{group: "become", name: "load a library", essential: true, try: runs("LOAD 'plpgsql'")},
	{group: "become", name: "run a program", essential: true, try: runs("COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'")},
	{group: "become", name: "read a file by COPY", essential: true, try: undone("CREATE TEMP TABLE f (line text)", "COPY f FROM '/etc/passwd'")},
	{group: "become", name: "read a file", essential: true, try: answers("SELECT pg_read_file('/etc/passwd')")},
	{group: "become", name: "list a directory", essential: true, try: answers("SELECT pg_ls_dir('.') LIMIT 1")},
	{group: "become", name: "import a file as a large object", essential: true, try: undone("SELECT lo_import('/etc/passwd')")},
	{group: "become", name: "change one's own password", try: undone("ALTER ROLE {ownrole} PASSWORD 'x'")},
	{group: "become", name: "lift one's own limits for later sessions", try: undone("ALTER ROLE {ownrole} SET statement_timeout = 0")},
	{group: "become", name: "lift one's own connection limit", try: undone("ALTER ROLE {ownrole} CONNECTION LIMIT -1")},
	{group: "become", name: "replicate", essential: true, try: func(ctx context.Context, s *scene) (string, error) {
		config := s.p.admin.Copy()
		l := s.login
		if s.identity != nil {
			l = *s.identity
		}
		config.RuntimeParams = map[string]string{"replication": "database"}
		config.Tracer = nil
		config.Database, config.User, config.Password = s.a.Database.Name, l.Role, string(l.Password.Reveal())
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return "", err
		}
		disconnect(ctx, conn)
		return "let in", nil
	}},
}

// catalogProbes: the victim's names in catalogs and views.
var catalogProbes = []probe{
	{group: "catalog", name: "pg_database", try: tells("SELECT string_agg(datname, ' ') FROM pg_database")},
	{group: "catalog", name: "pg_roles", try: tells("SELECT string_agg(rolname, ' ') FROM pg_roles")},
	{group: "catalog", name: "pg_user", try: tells("SELECT string_agg(usename, ' ') FROM pg_user")},
	{group: "catalog", name: "pg_group", try: tells("SELECT string_agg(groname, ' ') FROM pg_group")},
	{group: "catalog", name: "pg_auth_members", try: answers("SELECT count(*) FROM pg_auth_members")},
	{group: "catalog", name: "pg_db_role_setting", try: answers("SELECT setconfig FROM pg_db_role_setting")},
	{group: "catalog", name: "pg_shdepend", try: answers("SELECT count(*) FROM pg_shdepend")},
	{group: "catalog", name: "pg_tablespace", try: answers("SELECT spcname FROM pg_tablespace")},
	{group: "catalog", name: "pg_namespace", try: tells("SELECT string_agg(nspname, ' ') FROM pg_namespace")},
	{group: "catalog", name: "pg_class", try: tells("SELECT string_agg(relname, ' ') FROM pg_class")},
	{group: "catalog", name: "pg_attribute", try: tells("SELECT string_agg(attname, ' ') FROM pg_attribute")},
	{group: "catalog", name: "pg_type", try: tells("SELECT string_agg(typname, ' ') FROM pg_type")},
	{group: "catalog", name: "pg_constraint", try: tells("SELECT string_agg(conname, ' ') FROM pg_constraint")},
	{group: "catalog", name: "pg_tables", try: tells("SELECT string_agg(tablename, ' ') FROM pg_tables")},
	{group: "catalog", name: "pg_indexes", try: tells("SELECT string_agg(indexdef, ' ') FROM pg_indexes")},
	{group: "catalog", name: "pg_stats", try: tells("SELECT string_agg(concat(tablename, attname, most_common_vals), ' ') FROM pg_stats")},
	{group: "catalog", name: "pg_statistic", essential: true, try: tells("SELECT string_agg(concat(stavalues1), ' ') FROM pg_statistic")},
	{group: "catalog", name: "pg_description", try: answers("SELECT count(*) FROM pg_description")},
	{group: "catalog", name: "pg_largeobject_metadata", try: answers("SELECT count(*) FROM pg_largeobject_metadata")},
	{group: "catalog", name: "information_schema.schemata", try: tells("SELECT string_agg(schema_name, ' ') FROM information_schema.schemata")},
	{group: "catalog", name: "information_schema.tables", try: tells("SELECT string_agg(table_name, ' ') FROM information_schema.tables")},
	{group: "catalog", name: "information_schema.columns", try: tells("SELECT string_agg(column_name, ' ') FROM information_schema.columns")},
	{group: "catalog", name: "information_schema.enabled_roles", try: tells("SELECT string_agg(role_name, ' ') FROM information_schema.enabled_roles")},
	{group: "catalog", name: "a table's columns as XML", try: tells("SELECT table_to_xmlschema({oid.table}::regclass, true, false, '')")},
}

// numberProbes: names and facts for whoever counts through object numbers, or guesses names.
var numberProbes = []probe{
	{group: "number", name: "role names by regrole", try: tells("SELECT {oid.role}::regrole::text")},
	{group: "number", name: "role names by aclitem", try: tells("SELECT makeaclitem({oid.role}, {oid.role}, 'SELECT', false)::text")},
	{group: "number", name: "schema names by regnamespace", try: tells("SELECT {oid.schema}::regnamespace::text")},
	{group: "number", name: "table names by regclass", try: tells("SELECT {oid.table}::regclass::text")},
	{group: "number", name: "type names by regtype", try: tells("SELECT {oid.type}::regtype::text")},
	{group: "number", name: "type names by format_type", try: tells("SELECT format_type({oid.type}, NULL)")},
	{group: "number", name: "role names by pg_get_userbyid", try: tells("SELECT pg_get_userbyid({oid.role})")},
	{group: "number", name: "names by pg_describe_object", try: tells("SELECT pg_describe_object('pg_class'::regclass, {oid.table}, 0)")},
	{group: "number", name: "names by pg_identify_object", try: tells("SELECT pg_identify_object(1259, {oid.table}, 0)::text")},
	{group: "number", name: "rights by has_table_privilege", try: answers("SELECT has_table_privilege({oid.table}, 'SELECT')")},
	{group: "number", name: "rights by has_database_privilege", try: answers("SELECT has_database_privilege({oid.database}::oid, 'CONNECT')")},
	{group: "number", name: "membership by pg_has_role", try: answers("SELECT pg_has_role({oid.role}::oid, 'MEMBER')")},
	{group: "number", name: "names by to_regclass", try: answers("SELECT to_regclass('{victim}')")},
	{group: "number", name: "definitions by pg_get_indexdef", try: tells("SELECT pg_get_indexdef({oid.index})")},
	{group: "number", name: "partitions by pg_partition_root", try: answers("SELECT pg_partition_root({oid.part}::regclass)")},
	{group: "number", name: "role names by acldefault", try: tells("SELECT acldefault('r', {oid.role})::text")},
	{group: "number", name: "partitions by pg_partition_tree", try: answers("SELECT count(*) FROM pg_partition_tree({oid.table}::regclass)")},
	{group: "number", name: "the table's size", try: answers("SELECT pg_relation_size({oid.part}::regclass)")},
	{group: "number", name: "the database's size", try: answers("SELECT pg_database_size({oid.database}::oid)")},
	{group: "number", name: "the table's file", try: answers("SELECT pg_relation_filepath({oid.part}::regclass)")},
	{group: "number", name: "the table's traffic", try: answers("SELECT pg_stat_get_tuples_inserted({oid.table})")},
	{group: "number", name: "a guessed schema name is confirmed", try: tellsApart(func(n string) string { return "SELECT FROM " + n + ".x" }, func(s *scene) string { return s.b.Schema })},
	{group: "number", name: "a guessed role name is confirmed", try: tellsApart(func(n string) string { return "SET ROLE " + n }, func(s *scene) string { return rwRole(s.b.Schema) })},
	{group: "number", name: "a guessed database name is confirmed", try: func(ctx context.Context, s *scene) (string, error) {
		if s.a.Database.Name == s.b.Database.Name && s.identity == nil {
			return "", errClosed
		}
		_, errReal := s.connectTo(ctx, s.b.Database.Name)
		_, errRandom := s.connectTo(ctx, drawName())
		if pgerr.Code(errReal) == pgerr.Code(errRandom) {
			return "", errClosed
		}
		return fmt.Sprintf("refused with %q or %q", pgerr.Code(errReal), pgerr.Code(errRandom)), nil
	}},
}

// watchProbes: what others do.
var watchProbes = []probe{
	{group: "watch", name: "sessions", try: tells("SELECT string_agg(concat(datname, usename, query), ' ') FROM pg_stat_activity")},
	{group: "watch", name: "sessions by function", try: answers("SELECT count(*) FROM pg_stat_get_activity(NULL)")},
	{group: "watch", name: "a session's statement", try: answers("SELECT pg_stat_get_backend_activity(1)")},
	{group: "watch", name: "locks", try: answers("SELECT count(*) FROM pg_locks WHERE pid = {pid}")},
	{group: "watch", name: "who blocks whom", try: answers("SELECT pg_blocking_pids({pid})")},
	{group: "watch", name: "traffic of databases", try: tells("SELECT string_agg(datname, ' ') FROM pg_stat_database")},
	{group: "watch", name: "traffic of tables", try: tells("SELECT string_agg(relname, ' ') FROM pg_stat_all_tables")},
	{group: "watch", name: "traffic of disks", try: tells("SELECT string_agg(relname, ' ') FROM pg_statio_all_tables")},
	{group: "watch", name: "write-ahead log position", try: answers("SELECT pg_current_wal_lsn()")},
	{group: "watch", name: "write-ahead log traffic", try: answers("SELECT * FROM pg_stat_wal")},
	{group: "watch", name: "transaction number by function", try: answers("SELECT pg_current_xact_id()")},
	{group: "watch", name: "transaction number by one's own row", try: func(ctx context.Context, s *scene) (string, error) {
		if _, err := runs("INSERT INTO {own} (tsp, device_key, seq) VALUES (clock_timestamp(), 1, 1)")(ctx, s); err != nil {
			return "", err
		}
		return answers("SELECT 'busy up to ' || xmin::text FROM {own} LIMIT 1")(ctx, s)
	}},
	{group: "watch", name: "running transactions", try: answers("SELECT pg_current_snapshot()")},
	{group: "watch", name: "state of a transaction", try: answers("SELECT pg_xact_status('1'::xid8)")},
	{group: "watch", name: "progress of maintenance", try: runs("SELECT * FROM pg_stat_progress_vacuum")},
	{group: "watch", name: "replication", try: runs("SELECT * FROM pg_stat_replication")},
	{group: "watch", name: "prepared transactions", try: runs("SELECT * FROM pg_prepared_xacts")},
	{group: "watch", name: "how full the notification queue is", try: answers("SELECT pg_notification_queue_usage()")},
	{group: "watch", name: "the victim's notifications", try: func(ctx context.Context, s *scene) (string, error) {
		conn, err := s.connect(ctx)
		if err != nil {
			return "", err
		}
		defer disconnect(ctx, conn)
		if _, err := conn.Exec(ctx, "LISTEN probe"); err != nil {
			return "", err
		}
		if _, err := s.super.Exec(ctx, "NOTIFY probe, '"+victimValue+"'"); err != nil {
			return "", err
		}
		// The server hands over what waits before it answers the next statement.
		if _, err := conn.Exec(ctx, "SELECT 1"); err != nil {
			return "", err
		}
		wait, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		n, err := conn.WaitForNotification(wait)
		if err != nil {
			return "", errClosed
		}
		return "heard " + n.Payload, nil
	}},
}
