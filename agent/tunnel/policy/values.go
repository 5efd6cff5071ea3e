package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Hours are the times of the week at which a rule holds, by the device's clock. The zero Hours are all.
type Hours struct {
	From, To int // minutes of the day; equal: all day
	Days     []time.Weekday
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// parseHours reads "06:00-22:00" and names of days. A span that ends before it begins goes over midnight and belongs to
// the day on which it began.
func parseHours(span string, days []string) (h Hours, err error) {
	if span != "" {
		from, to, ok := strings.Cut(span, "-")
		first, errFrom := time.Parse("15:04", from)
		last, errTo := time.Parse("15:04", to)
		if !ok || errFrom != nil || errTo != nil || first.Equal(last) {
			return h, fmt.Errorf(`hours: %q: want a span like "06:00-22:00"`, span)
		}
		h.From, h.To = minutes(first), minutes(last)
	}
	for _, d := range days {
		at := slices.Index(weekdays, d)
		if at < 0 {
			return h, fmt.Errorf("days: %q: want mon, tue, wed, thu, fri, sat or sun", d)
		}
		h.Days = append(h.Days, time.Weekday(at))
	}
	return h, nil
}

func minutes(t time.Time) int { return t.Hour()*60 + t.Minute() }

// Contain reports whether a time is within the hours.
func (h Hours) Contain(t time.Time) bool {
	day, now := t.Weekday(), minutes(t)
	switch {
	case h.From == h.To:
	case h.From < h.To:
		if now < h.From || now >= h.To {
			return false
		}
	case now < h.To: // past midnight
		day = (day + 6) % 7
	case now < h.From:
		return false
	}
	return len(h.Days) == 0 || slices.Contains(h.Days, day)
}

func parsePorts(s string) (Ports, error) {
	first, last, ranged := strings.Cut(s, "-")
	if !ranged {
		last = first
	}
	a, errA := parsePort(first)
	b, errB := parsePort(last)
	if errA != nil || errB != nil || a > b {
		return Ports{}, fmt.Errorf(`%q: want a port or a range like "8000-8100"`, s)
	}
	return Ports{a, b}, nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && (n == 0 || strconv.FormatUint(n, 10) != s) {
		err = strconv.ErrRange
	}
	return uint16(n), err //nolint:gosec // parsed as 16 bits
}

// parseRate reads bytes per second, with KiB, MiB or GiB.
func parseRate(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	number, unit := s, int64(1)
	for suffix, size := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			number, unit = strings.TrimSpace(rest), size
		}
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n < 1 || n*unit < 1<<10 {
		return 0, fmt.Errorf(`rate: %q: want bytes per second, at least 1KiB, like "10MiB"`, s)
	}
	return n * unit, nil
}

func parseRequired(key, s string) (bool, error) {
	switch s {
	case "", "optional":
		return false, nil
	case "required":
		return true, nil
	default:
		return false, fmt.Errorf("%s: %q: want optional or required", key, s)
	}
}
