package server

import (
	"time"

	"bulkhead/backend/recording"
	"bulkhead/db"
)

// makeRecordings makes what keeps the recordings of devices.
func (s *Server) makeRecordings() {
	limits := s.options.Config.Recordings
	s.recordings = recording.New(recording.Config{
		Store: db.NewRecordings(s.db), Sealer: s.sealer,
		Quota: recording.Quota{Project: limits.ProjectQuota, Device: limits.DeviceQuota}, Keep: time.Duration(limits.KeepDays) * 24 * time.Hour,
		Log: s.log, Now: time.Now, Spare: s.quotas.Spare,
	})
}
