package databackend

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var intervalForm = regexp.MustCompile(`^([0-9]{1,9}) ?([a-z]+)$`)

var intervalUnits = map[string]time.Duration{
	"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": day, "w": 7 * day,
	"millisecond": time.Millisecond, "second": time.Second, "minute": time.Minute, "min": time.Minute, "hour": time.Hour,
	"day": day, "week": 7 * day, "month": 30 * day, "year": 365 * day,
}

const day = 24 * time.Hour

var errInterval = errors.New(`want a length of time like "1 day", "12 hours" or "30m"`)

// parseInterval reads a number with a unit. A month is 30 days and a year 365: what it limits are chunks, not calendars.
func parseInterval(s string) (time.Duration, error) {
	m := intervalForm.FindStringSubmatch(strings.ToLower(strings.TrimSpace(s)))
	if m == nil {
		return 0, errInterval
	}
	unit, ok := intervalUnits[m[2]]
	if !ok {
		unit, ok = intervalUnits[strings.TrimSuffix(m[2], "s")]
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || !ok || n == 0 || n > int64(maxInterval/unit) {
		return 0, errInterval
	}
	return time.Duration(n) * unit, nil
}

const maxInterval = 100 * 365 * day
