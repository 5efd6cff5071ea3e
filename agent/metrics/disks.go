package metrics

import "strings"

// upon are the kinds of block device whose bytes are another device's or no device's.
var upon = []string{"loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd"}

func stacked(name string) bool {
	for _, prefix := range upon {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
