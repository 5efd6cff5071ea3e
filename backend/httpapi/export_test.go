package httpapi

import "time"

// SetBodyTimeout says how long a body may take to arrive, before the API is served.
func SetBodyTimeout(a *API, d time.Duration) { a.bodyTimeout = d }
