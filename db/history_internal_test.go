package db

import "time"

// SetHistoryTimeout changes how long a query may take.
func SetHistoryTimeout(h *History, d time.Duration) { h.timeout = d }
