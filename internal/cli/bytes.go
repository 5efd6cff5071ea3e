package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size shows bytes to people.
func size(n int64) string {
	for _, u := range units {
		if n >= u.bytes && u.binary && u.bytes > 1 {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.bytes), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// units of bytes, the longest names first within a letter, so that MiB is not read as M of iB.
var units = []struct {
	name   string
	bytes  int64
	binary bool
}{
	{"TiB", 1 << 40, true}, {"GiB", 1 << 30, true}, {"MiB", 1 << 20, true}, {"KiB", 1 << 10, true},
	{"TB", 1e12, false}, {"GB", 1e9, false}, {"MB", 1e6, false}, {"kB", 1e3, false}, {"B", 1, true}, {"", 1, true},
}

// parseSize reads bytes with or without a unit: 10GiB, 500 MB, 1048576.
func parseSize(text string) (int64, error) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimRight(digits, " "), 10, 63)
		if err != nil || int64(n) > math.MaxInt64/u.bytes {
			break
		}
		return int64(n) * u.bytes, nil
	}
	return 0, fmt.Errorf("%q: want bytes like 20GiB, 500MB or 1048576", text)
}
