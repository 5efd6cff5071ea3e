package httpapi

import (
	"net/http"
	"strconv"
	"strings"
)

// etagOf is the entity tag of a revision.
func etagOf(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// Condition is on a change: it is made only to what the caller has seen.
type Condition struct {
	IfMatch string `header:"If-Match" maxLength:"100" doc:"The etag that was read, or * for any" example:"\"1\""`
}

// revision gives the revision expected; 0 expects any.
func (c Condition) revision() (int64, error) {
	text := strings.TrimSpace(c.IfMatch)
	switch text {
	case "":
		return 0, newProblem(http.StatusPreconditionRequired, "send the header If-Match with the etag that you have read, or *")
	case "*":
		return 0, nil
	}
	inner, quoted := strings.CutPrefix(text, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	n, err := strconv.ParseInt(inner, 10, 64)
	if !quoted || !closed || err != nil || n < 1 || etagOf(n) != text {
		return 0, newProblem(http.StatusPreconditionFailed, "If-Match is not an etag of this resource")
	}
	return n, nil
}
