package provision

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// disturbProbes: what slows, stops or fills what others use.
var disturbProbes = []probe{
	{group: "disturb", name: "end the victim's session", essential: true, try: answers("SELECT pg_terminate_backend({pid})")},
	{group: "disturb", name: "cancel the victim's statement", essential: true, try: answers("SELECT pg_cancel_backend({pid})")},
	{group: "disturb", name: "take an advisory lock", try: answers("SELECT pg_try_advisory_lock(1)")},
	{group: "disturb", name: "send a notification", try: runs("NOTIFY probe")},
	{group: "disturb", name: "send a notification by function", try: runs("SELECT pg_notify('probe', '')")},
	{group: "disturb", name: "sleep", try: runs("SELECT pg_sleep(0)")},
	{group: "disturb", name: "lift the time limit of statements", try: raises("statement_timeout", "0")},
	{group: "disturb", name: "lift the time limit of idle transactions", try: raises("idle_in_transaction_session_timeout", "0")},
	{group: "disturb", name: "raise memory per operation", try: raises("work_mem", "2GB")},
	{group: "disturb", name: "raise memory for temporary tables", try: raises("temp_buffers", "2GB")},
	{group: "disturb", name: "take the server's parallel workers", try: raises("max_parallel_workers_per_gather", "64")},
	{group: "disturb", name: "raise the limit of temporary files", try: raises("temp_file_limit", "-1")},
	{group: "disturb", name: "do without durability", try: raises("synchronous_commit", "off")},
	{group: "disturb", name: "switch triggers off", essential: true, try: raises("session_replication_role", "replica")},
	{group: "disturb", name: "fill the server's log", try: raises("log_statement", "all")},
	{group: "disturb", name: "make a temporary table", try: runs("CREATE TEMP TABLE x (n int)")},
	{group: "disturb", name: "make a large object", try: undone("SELECT lo_create(0)")},
	{group: "disturb", name: "make a table in public", try: undone("CREATE TABLE public.x (n int)")},
	{group: "disturb", name: "make a schema", try: undone("CREATE SCHEMA intruder")},
	{group: "disturb", name: "make a publication", try: undone("CREATE PUBLICATION intruder")},
	{group: "disturb", name: "make an event trigger", essential: true, try: runs("CREATE EVENT TRIGGER t ON ddl_command_end EXECUTE FUNCTION suppress_redundant_updates_trigger()")},
	{group: "disturb", name: "set a default of the database", try: undone("ALTER DATABASE {owndb} SET work_mem = '1MB'")},
	{group: "disturb", name: "rename the victim's database", essential: true, try: undone("ALTER DATABASE {db} CONNECTION LIMIT 0")},
	{group: "disturb", name: "force a checkpoint", try: runs("CHECKPOINT")},
	{group: "disturb", name: "switch the write-ahead log", try: runs("SELECT pg_switch_wal()")},
	{group: "disturb", name: "write to the write-ahead log", try: runs("SELECT pg_logical_emit_message(false, 'x', 'y')")},
	{group: "disturb", name: "reset statistics", try: runs("SELECT pg_stat_reset()")},
	{group: "disturb", name: "prepare a transaction", try: func(ctx context.Context, s *scene) (string, error) {
		seen, err := runs("BEGIN", "PREPARE TRANSACTION 'x'")(ctx, s)
		if err == nil {
			_, err = s.super.Exec(ctx, "ROLLBACK PREPARED 'x'")
		}
		return seen, err
	}},
	{group: "disturb", name: "hold back the victim's vacuum", try: func(ctx context.Context, s *scene) (string, error) {
		conn, err := s.connect(ctx)
		if err != nil {
			return "", err
		}
		defer disconnect(ctx, conn)
		if err := execAll(ctx, conn, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1"); err != nil {
			return "", err
		}
		var held bool
		err = s.super.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND backend_xmin IS NOT NULL AND datname = current_database())",
			int32(conn.PgConn().PID())).Scan(&held)
		if err == nil && !held {
			err = errClosed
		}
		return "a snapshot in the victim's database", err
	}},
	{group: "disturb", name: "open more sessions than allowed", try: func(ctx context.Context, s *scene) (string, error) {
		var open []*pgx.Conn
		defer func() {
			for _, conn := range open {
				disconnect(ctx, conn)
			}
		}()
		for range connectionLimit + 1 {
			conn, err := s.connect(ctx)
			if err != nil {
				return "", err
			}
			open = append(open, conn)
		}
		return "one too many", nil
	}},
}

// serverProbes: what the server is and how it is run.
var serverProbes = []probe{
	{group: "server", name: "settings by SHOW", try: answers("SHOW max_connections")},
	{group: "server", name: "settings by pg_settings", try: answers("SELECT count(*) FROM pg_settings")},
	{group: "server", name: "settings by function", try: answers("SELECT current_setting('shared_buffers')")},
	{group: "server", name: "where its data is", try: answers("SHOW data_directory")},
	{group: "server", name: "its address", try: runs("SELECT inet_server_addr()")},
	{group: "server", name: "how it lets in", essential: true, try: runs("SELECT * FROM pg_hba_file_rules")},
	{group: "server", name: "when it was started", try: answers("SELECT pg_postmaster_start_time()")},
	{group: "server", name: "what is installed", try: answers("SELECT count(*) FROM pg_available_extensions")},
	{group: "server", name: "its log", try: runs("SELECT pg_current_logfile()")},
	{group: "server", name: "its files", try: answers("SELECT count(*) FROM pg_ls_waldir()")},
	{group: "server", name: "its control file", try: answers("SELECT system_identifier FROM pg_control_system()")},
	{group: "server", name: "its memory", try: answers("SELECT count(*) FROM pg_shmem_allocations")},
	{group: "server", name: "read its configuration again", essential: true, try: answers("SELECT pg_reload_conf()")},
	{group: "server", name: "change its configuration", essential: true, try: runs("ALTER SYSTEM RESET work_mem")},
	{group: "server", name: "make a database", try: func(ctx context.Context, s *scene) (string, error) {
		name := ident(drawName())
		seen, err := runs("CREATE DATABASE "+name+" TEMPLATE template0", "DROP DATABASE "+name)(ctx, s)
		return seen, err
	}},
	{group: "server", name: "make a tablespace", try: runs("CREATE TABLESPACE x LOCATION '/nonexistent'")},
	{group: "server", name: "make a subscription", try: runs("CREATE SUBSCRIPTION x CONNECTION 'host=127.0.0.1' PUBLICATION p WITH (connect = false)", "ALTER SUBSCRIPTION x SET (slot_name = NONE)", "DROP SUBSCRIPTION x")},
}

// timescaleProbes: what TimescaleDB adds.
var timescaleProbes = []probe{
	{group: "timescale", needsTimescale: true, name: "hypertables by view", try: tells("SELECT string_agg(concat(hypertable_schema, hypertable_name), ' ') FROM timescaledb_information.hypertables")},
	{group: "timescale", needsTimescale: true, name: "chunks by view", try: tells("SELECT string_agg(concat(chunk_schema, chunk_name), ' ') FROM timescaledb_information.chunks")},
	{group: "timescale", needsTimescale: true, name: "hypertables by catalog", try: tells("SELECT string_agg(concat(schema_name, table_name), ' ') FROM _timescaledb_catalog.hypertable")},
	{group: "timescale", needsTimescale: true, name: "jobs", try: answers("SELECT count(*) FROM timescaledb_information.jobs")},
	{group: "timescale", needsTimescale: true, name: "add a job", try: undone("SELECT public.add_job('pg_catalog.now', '1h')")},
	{group: "timescale", needsTimescale: true, name: "drop the victim's chunks", essential: true, try: undone("SELECT public.drop_chunks({oid.table}::regclass, older_than => interval '1000 years')")},
	{group: "timescale", needsTimescale: true, name: "list the victim's chunks", try: answers("SELECT public.show_chunks({oid.table}::regclass)")},
	{group: "timescale", needsTimescale: true, name: "the victim's size", try: answers("SELECT public.hypertable_size({oid.table}::regclass)")},
	{group: "timescale", needsTimescale: true, name: "stop its workers", try: runs("SELECT _timescaledb_functions.stop_background_workers()", "SELECT _timescaledb_functions.start_background_workers()")},
	{group: "timescale", needsTimescale: true, name: "its settings", try: raises("timescaledb.max_tuples_decompressed_per_dml_transaction", "0")},
}
