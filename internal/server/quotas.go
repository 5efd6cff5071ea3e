package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bulkhead/backend/databackend"
	"bulkhead/backend/quota"
	"bulkhead/db"
	"bulkhead/wire"
)

// makeQuotas makes what bounds what projects store, with what was known of them when the last server stopped.
func (s *Server) makeQuotas(ctx context.Context) (err error) {
	s.quotas, err = quota.New(quota.Config{
		Store: db.NewQuotas(s.db), Tables: s.prov, Disk: onDisk{s}, Default: s.options.Config.Storage.Quota, Log: s.log, Now: time.Now,
		Free: s.freeBytes, MinFree: s.options.Config.Storage.MinFree, Elsewhere: s.cluster == nil,
	})
	if err != nil {
		return err
	}
	s.metrics.MustRegister(storageMetrics{s.quotas})
	return s.quotas.Load(ctx)
}

// freeBytes is what is left on the fullest of the server's disks: of the rows that wait, and of the private database.
func (s *Server) freeBytes() (least int64, err error) {
	dirs := []string{s.file("spill")}
	if s.cluster != nil {
		dirs = append(dirs, s.file("postgres"))
	}
	for i, dir := range dirs {
		free, err := databackend.FreeBytes(dir)
		if err != nil {
			return 0, err
		}
		if i == 0 || free < least {
			least = free
		}
	}
	return least, nil
}

// onDisk asks the data backends, which are made after those who ask.
type onDisk struct{ server *Server }

// Waiting is of quota.Disk.
func (d onDisk) Waiting(project wire.Key) int64 { return d.server.data.backends.Waiting(project) }

// Exported is of quota.Disk.
func (d onDisk) Exported() (map[wire.Key]int64, error) { return d.server.data.backends.Exported() }

// storageMetrics shows what projects store. A project has a line of its own from 80 % of its quota on.
type storageMetrics struct{ quotas *quota.Quotas }

var (
	storedMetric   = prometheus.NewDesc("bulkhead_storage_bytes", "Bytes that all projects store together, as far as they are measured or counted.", nil, nil)
	levelMetric    = prometheus.NewDesc("bulkhead_storage_projects", "Projects by how much of their storage quota they have used: room, high (80 %), almost_full (95 %), full.", []string{"level"}, nil)
	shareMetric    = prometheus.NewDesc("bulkhead_storage_used_ratio", "Share of the storage quota that a project has used, of those that have used 80 % or more.", []string{"project"}, nil)
	refusedMetric  = prometheus.NewDesc("bulkhead_storage_refused_total", "Submissions of rows that were refused because a project's storage quota was used up.", nil, nil)
	freeMetric     = prometheus.NewDesc("bulkhead_storage_free_bytes", "Bytes that the server's disk has left, on the fullest of them; 0 where nobody looks.", nil, nil)
	capacityMetric = prometheus.NewDesc("bulkhead_storage_capacity_bytes", "Bytes that all projects can have together on the server's disk, with what they have; 0 where nobody looks.", nil, nil)
	grantedMetric  = prometheus.NewDesc("bulkhead_storage_granted_bytes", "Bytes that the storage quotas of all projects grant together. Above the capacity, a project is sure of its share of half the capacity only.", nil, nil)
	tightMetric    = prometheus.NewDesc("bulkhead_storage_tight", "1 while rows of projects beyond their shares are refused, for the others need what the disk has left.", nil, nil)
	shortMetric    = prometheus.NewDesc("bulkhead_storage_short", "1 while the disk has less left than storage.min_free, so that rows of all projects are refused.", nil, nil)
	failuresMetric = prometheus.NewDesc("bulkhead_storage_measurement_failures_total", "Measurements of what projects store that failed.", nil, nil)
)

// Describe is of prometheus.Collector.
func (m storageMetrics) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, to) }

// Collect is of prometheus.Collector.
func (m storageMetrics) Collect(to chan<- prometheus.Metric) {
	projects := map[quota.Level]float64{}
	var stored, refused float64
	for _, u := range m.quotas.Uses("") {
		stored, refused = stored+float64(u.Used()), refused+float64(u.Refused)
		projects[u.Level]++
		if u.Level != quota.Room && u.Quota > 0 {
			to <- prometheus.MustNewConstMetric(shareMetric, prometheus.GaugeValue, float64(u.Used())/float64(u.Quota), u.Project.String())
		}
	}
	for _, level := range quota.Levels {
		to <- prometheus.MustNewConstMetric(levelMetric, prometheus.GaugeValue, projects[level], string(level))
	}
	to <- prometheus.MustNewConstMetric(storedMetric, prometheus.GaugeValue, stored)
	to <- prometheus.MustNewConstMetric(refusedMetric, prometheus.CounterValue, refused)
	left := m.quotas.Left()
	for desc, bytes := range map[*prometheus.Desc]int64{freeMetric: left.Free, capacityMetric: left.Capacity, grantedMetric: left.Granted} {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(bytes))
	}
	for desc, is := range map[*prometheus.Desc]bool{tightMetric: left.Tight, shortMetric: left.Short} {
		value := 0.0
		if is {
			value = 1
		}
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
	to <- prometheus.MustNewConstMetric(failuresMetric, prometheus.CounterValue, float64(m.quotas.Failures()))
}
