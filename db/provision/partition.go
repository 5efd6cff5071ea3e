package provision

import (
	"errors"
	"regexp"
	"slices"
	"time"
)

// span is the half-open stretch of time [from, to) that a partition covers.
type span struct{ from, to time.Time }

func (s span) contains(t time.Time) bool { return !t.Before(s.from) && t.Before(s.to) }

// epoch is where partitions are counted from: a Monday, so that weeks begin on Mondays.
var epoch = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)

// aligned is the stretch of a length around t that all tables of that length share.
func aligned(t time.Time, length time.Duration) span {
	// In seconds: a difference of times as a Duration ends at 292 years.
	seconds := max(1, int64(length/time.Second))
	offset := t.Unix() - epoch.Unix()
	n := offset / seconds
	if offset < 0 && offset%seconds != 0 {
		n--
	}
	from := time.Unix(epoch.Unix()+n*seconds, 0).UTC()
	return span{from, from.Add(time.Duration(seconds) * time.Second)}
}

// gap is the aligned stretch around t, cut where partitions of another length are; not ok when one covers t already.
func gap(existing []span, t time.Time, length time.Duration) (span, bool) {
	g := aligned(t, length)
	for _, e := range existing {
		switch {
		case e.contains(t):
			return span{}, false
		case !e.to.After(t) && e.to.After(g.from):
			g.from = e.to
		case e.from.After(t) && e.from.Before(g.to):
			g.to = e.from
		}
	}
	return g, true
}

// missing lists the stretches between two times that no partition covers, oldest first.
func missing(existing []span, from, to time.Time, length time.Duration) []span {
	var found []span
	for t := from; t.Before(to); {
		if g, ok := gap(existing, t, length); ok {
			found = append(found, g)
			t = g.to
			continue
		}
		i := slices.IndexFunc(existing, func(s span) bool { return s.contains(t) })
		t = existing[i].to
	}
	return found
}

// expired lists the stretches whose last moment is older than a limit.
func expired(existing []span, cutoff time.Time) []span {
	return slices.DeleteFunc(slices.Clone(existing), func(s span) bool { return s.to.After(cutoff) })
}

// partitionName is the name of a table's part for a stretch. Names of declared tables begin with a letter, so no part
// has the name of one.
func partitionName(table string, s span) string {
	return "_" + table + "_" + s.from.UTC().Format("20060102t150405")
}

// defaultPartition is the part for rows that no other part is for.
func defaultPartition(table string) string { return "_" + table + "_default" }

var boundForm = regexp.MustCompile(`^FOR VALUES FROM \('([^']+)'\) TO \('([^']+)'\)$`)

var errBound = errors.New("a partition has bounds that we did not make")

// parseBound reads what pg_get_expr tells of a partition, in a session with time zone UTC and ISO dates.
func parseBound(text string) (span, error) {
	m := boundForm.FindStringSubmatch(text)
	if m == nil {
		return span{}, errBound
	}
	from, errFrom := time.Parse("2006-01-02 15:04:05-07", m[1])
	to, errTo := time.Parse("2006-01-02 15:04:05-07", m[2])
	if errors.Join(errFrom, errTo) != nil || from.Nanosecond() != 0 || to.Nanosecond() != 0 {
		return span{}, errBound
	}
	s := span{from.UTC(), to.UTC()}
	if s.from.Year() < 1 || s.to.Year() > 9999 || !s.from.Before(s.to) { // PostgreSQL writes such years otherwise
		return span{}, errBound
	}
	return s, nil
}
