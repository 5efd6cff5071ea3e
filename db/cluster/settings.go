package cluster

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// settings are what the server runs with, on top of PostgreSQL's defaults. It is small, because it shares a
// developer's or a small customer's machine; it is durable, because fsync and full_page_writes stay as they are.
func settings(b binaries, extra map[string]string) map[string]string {
	s := map[string]string{
		"listen_addresses":        "", // no port: the socket is the only way in
		"port":                    port,
		"unix_socket_directories": runFD,
		"unix_socket_permissions": "0700",
		"max_connections":         "100",
		"shared_buffers":          "64MB",
		"max_wal_size":            "512MB",
		"jit":                     "off",
		"temp_file_limit":         "1GB", // per session: one tenant's sort cannot fill the disk
		// After a crash, one call per file system in place of one per file: the first start after it is five times as fast.
		"recovery_init_sync_method": "syncfs",
		// Dropping a schema locks each of its partitions at once.
		"max_locks_per_transaction": "256",
		// No statement, parameter or row may reach a log.
		"log_min_error_statement":           "panic",
		"log_parameter_max_length":          "0",
		"log_parameter_max_length_on_error": "0",
		"log_error_verbosity":               "terse",
		"log_line_prefix":                   "",
		"password_encryption":               "scram-sha-256",
	}
	if b.hasTimescale() {
		s["shared_preload_libraries"] = "timescaledb"
		s["timescaledb.telemetry_level"] = "off"
	}
	maps.Copy(s, extra)
	return s
}

// hasTimescale reports whether TimescaleDB is installed beside the server.
func (b binaries) hasTimescale() bool {
	out, err := exec.Command(b.path("pg_config"), "--pkglibdir").Output()
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(strings.TrimSpace(string(out)), "timescaledb.so"))
	return err == nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
