package provision_test

import (
	"testing"

	"bulkhead/backend/databackend"
	"bulkhead/db/dbtest"
	"bulkhead/db/provision"
)

// recorded is how many probes were open when this was last looked at, with and without TimescaleDB. A number may fall; when
// it rises, a tenant has learnt to do something new.
var recorded = map[databackend.Driver]map[bool]int{
	databackend.DriverDatabase: {false: 14, true: 15},
	databackend.DriverSchema:   {false: 19, true: 20},
}

func probe(t *testing.T, driver databackend.Driver, run func(*provision.Provisioner) (provision.ProbeReport, error)) provision.ProbeReport {
	t.Helper()
	report, err := run(dbtest.NewProvisioner(t, dbtest.New(t), with(driver)))
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestATenantLearnsNoMoreOfOthersThanWasRecorded(t *testing.T) {
	drivers(t, func(t *testing.T, driver databackend.Driver) {
		report := probe(t, driver, func(p *provision.Provisioner) (provision.ProbeReport, error) { return p.Probe(t.Context()) })
		if len(report.Results) < 45 {
			t.Errorf("%d probes only", len(report.Results))
		}
		for _, r := range report.EssentialOpen() {
			t.Errorf("%s: %s: %s", r.Group, r.Name, r.Detail)
		}
		most := recorded[driver][report.Timescale]
		t.Logf("%s, PostgreSQL %s, TimescaleDB %t: %d of %d probes open, %d recorded", driver, report.Server, report.Timescale, report.Open(), len(report.Results), most)
		for _, r := range report.Results {
			if r.Open {
				t.Logf("open: %s: %s: %s", r.Group, r.Name, r.Detail)
			}
		}
		if report.Open() > most {
			t.Errorf("%d probes are open, %d were recorded", report.Open(), most)
		}
	})
}

// TestEveryProbeCanBeOpen has the superuser try: a probe that is closed even then proves nothing.
func TestEveryProbeCanBeOpen(t *testing.T) {
	t.Parallel()
	// With the code that says that no right was missing.
	past := map[string]string{
		"a guessed schema name is confirmed": "",      // a superuser is refused nothing that could differ
		"prepare a transaction":              "55000", // switched off
		"make a tablespace":                  "58P01", // the directory is not there
		"make an event trigger":              "42P17", // the function is of another kind
	}
	report := probe(t, databackend.DriverSchema, func(p *provision.Provisioner) (provision.ProbeReport, error) { return p.ProbeAsSuperuser(t.Context()) })
	if report.Timescale {
		past["partitions by pg_partition_root"] = "" // chunks are no partitions
	}
	for _, r := range report.Results {
		if code, known := past[r.Name]; !r.Open && (!known || code != r.Code) {
			t.Errorf("%s: %s: %s (%s)", r.Group, r.Name, r.Detail, r.Code)
		}
	}
}

func TestOrdinarySQLOnOnesOwnRowsWorks(t *testing.T) {
	drivers(t, func(t *testing.T, driver databackend.Driver) {
		d := dbtest.New(t)
		p := dbtest.NewProvisioner(t, d, with(driver))
		r := installation(11, 22)
		mustProvision(t, p, r)
		c, err := p.Credentials(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		conn := mustLogin(t, d, c.Database, c.RW)
		for _, sql := range []string{
			"SET search_path = " + c.Schema,
			"INSERT INTO metrics (tsp, device_key, seq, c_numeric, c_bigint, c_string, c_json) SELECT now() - n * interval '1 minute', n % 3, n, n * 1.5, n, 'text ' || n, jsonb_build_object('a', n) FROM generate_series(1, 100) n",
			"INSERT INTO metrics (tsp, device_key, seq) SELECT * FROM unnest(ARRAY[now()], ARRAY[7::bigint], ARRAY[7::bigint]) ON CONFLICT (device_key, tsp, seq) DO NOTHING",
			"SELECT date_trunc('hour', tsp), date_bin('5 min', tsp, 'epoch'), extract(epoch FROM tsp), to_char(tsp, 'YYYY'), tsp AT TIME ZONE 'Europe/Berlin', age(tsp), tsp::date FROM metrics",
			"SELECT device_key, count(*), avg(c_numeric), stddev(c_numeric), percentile_cont(0.5) WITHIN GROUP (ORDER BY c_numeric), string_agg(c_string, ','), json_agg(c_json), jsonb_object_agg(seq, c_json) FROM metrics GROUP BY 1",
			"SELECT lag(c_numeric) OVER w, rank() OVER w, first_value(c_numeric) OVER w FROM metrics WINDOW w AS (PARTITION BY device_key ORDER BY tsp)",
			"SELECT DISTINCT ON (device_key) device_key, tsp FROM metrics WHERE tsp > now() - interval '1 day' ORDER BY device_key, tsp DESC",
			"SELECT c_json ->> 'a', jsonb_path_query_first(c_json, '$.a'), row_to_json(m), to_jsonb(m) FROM metrics m",
			"SELECT upper(c_string), regexp_replace(c_string, 't', 'x'), format('%s', c_string), concat(c_string, 1), length(c_string), md5(c_string) FROM metrics",
			"SELECT to_tsvector('english', c_string) @@ to_tsquery('english', 'text'), random(), gen_random_uuid(), clock_timestamp(), current_user FROM metrics",
			"WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT sum(n) FROM t",
			"SELECT width_bucket(c_numeric, 0, 100, 10), round(c_numeric::numeric, 1), greatest(1, c_bigint), coalesce(c_boolean, false) FROM metrics",
		} {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		}
	})
}
