// Package migrations has the SQL that makes the platform's own tables, one file per step.
//
// It promises that files are only ever appended: what is released is never edited, and the running code works before and
// after each step.
package migrations

import "embed"

// Files are the steps, NNNN_name.sql, in goose's form.
//
//go:embed *.sql
var Files embed.FS
