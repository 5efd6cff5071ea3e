package databackend_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/databackend"
	"bulkhead/db/dbtest"
	"bulkhead/wire"
)

// BenchmarkIngest measures, in one run on one database, rows a second through the whole ingest (rules, queue, batches,
// COPY, answers), by a bare COPY of the same rows in batches of 10,000, and in a transaction each; and prints the ratios.
//
//	go test ./backend/databackend -run '^$' -bench '^BenchmarkIngest$' -benchtime 3x
func BenchmarkIngest(b *testing.B) {
	s := newStand(b, dbtest.NewProvisioner(b, dbtest.New(b)), dbtest.Get(b).URL, func(c *databackend.Config) {
		c.Limits.BatchDelay = 50 * time.Millisecond
		c.Limits.QueueRows = 1 << 18
		c.Limits.QueueBytes = 1 << 30
		c.Limits.WriteTimeout = time.Minute
		c.Limits.All, c.Limits.Each = databackend.Unlimited, databackend.Unlimited
	})
	const rows = 200_000
	var ingest, bulk, bare, single time.Duration
	run := 0
	for b.Loop() {
		run++
		ingest += s.timeIngest(b, run, rows)
		bulk += s.timeBulk(b, run, rows)
		bare += s.timeCopy(b, run, rows)
		single += s.timeSingle(b, run, rows/100) * 100
	}
	rate := func(d time.Duration) float64 { return float64(rows) * float64(run) / d.Seconds() }
	b.ReportMetric(rate(ingest), "rows/s")
	b.ReportMetric(rate(bulk), "bulk-rows/s")
	b.ReportMetric(rate(bare), "copy-rows/s")
	b.ReportMetric(rate(single), "single-rows/s")
	b.ReportMetric(rate(ingest)/rate(bare), "of-copy")
	b.ReportMetric(rate(bulk)/rate(bare), "bulk-of-copy")
	b.ReportMetric(rate(ingest)/rate(single), "x-single")
	b.ReportMetric(0, "ns/op")
}

const benchStart = 1767225600000

func benchRow(run, i int) map[string]any {
	return map[string]any{
		"tsp": uint64(benchStart + i), "f": float64(i) / 3, "i": uint64(i), "s": fmt.Sprintf("sensor-%d-%d", run, i%100), "b": i%2 == 0,
	}
}

// timeIngest publishes row by row, each acknowledged, with as many under way as the queue takes.
func (s *stand) timeIngest(b *testing.B, run, rows int) time.Duration {
	payloads := make([]map[string]any, rows)
	for i := range payloads {
		payloads[i] = benchRow(run, i)
	}
	var all sync.WaitGroup
	all.Add(rows)
	began := time.Now()
	for i, row := range payloads {
		s.Accept(wire.Submission{
			Realm: s.placement.Realm, Table: "t", Device: wire.Key(10*run + 1), AuthID: "bench", Args: []any{row}, Kwargs: map[string]any{"seq": uint64(i)},
		}, func(err error) {
			if err != nil {
				b.Error(err)
			}
			all.Done()
		})
	}
	all.Wait()
	return time.Since(began)
}

// timeBulk publishes lists of 500 rows.
func (s *stand) timeBulk(b *testing.B, run, rows int) time.Duration {
	var lists [][]any
	for i := 0; i < rows; i += 500 {
		var list []any
		for j := i; j < i+500; j++ {
			list = append(list, benchRow(run, j))
		}
		lists = append(lists, list)
	}
	var all sync.WaitGroup
	all.Add(len(lists))
	began := time.Now()
	for i, list := range lists {
		s.Accept(wire.Submission{
			Realm: s.placement.Realm, Table: "t", Device: wire.Key(10*run + 2), AuthID: "bench", Bulk: true, Args: []any{list}, Kwargs: map[string]any{"seq": uint64(500 * i)},
		}, func(err error) {
			if err != nil {
				b.Error(err)
			}
			all.Done()
		})
	}
	all.Wait()
	return time.Since(began)
}

var benchColumns = []string{"device_key", "authid", "seq", "tsp", "f", "i", "s", "b"}

func benchValues(device, run, i int) []any {
	return []any{int64(device), "bench", int64(i), time.UnixMilli(benchStart + int64(i)), float64(i) / 3, int64(i), fmt.Sprintf("sensor-%d-%d", run, i%100), i%2 == 0}
}

func (s *stand) timeCopy(b *testing.B, run, rows int) time.Duration {
	values := make([][]any, rows)
	for i := range values {
		values[i] = benchValues(10*run+3, run, i)
	}
	began := time.Now()
	for i := 0; i < rows; i += 10_000 {
		if _, err := s.admin.CopyFrom(b.Context(), pgx.Identifier{s.placement.Schema, "t"}, benchColumns, pgx.CopyFromRows(values[i:i+10_000])); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began)
}

func (s *stand) timeSingle(b *testing.B, run, rows int) time.Duration {
	sql := "INSERT INTO " + pgx.Identifier{s.placement.Schema, "t"}.Sanitize() + " (device_key, authid, seq, tsp, f, i, s, b) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
	began := time.Now()
	for i := range rows {
		if _, err := s.admin.Exec(b.Context(), sql, benchValues(10*run+4, run, i)...); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began)
}
