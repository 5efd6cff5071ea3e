package httpapi

import (
	"encoding/base64"
	"strings"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Page is how one asks for a page of a list.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"At most so many items"`
	Cursor string `query:"cursor" maxLength:"400" doc:"What the page before gave as next"`
}

// cursorVersion begins what a cursor has in it. Cursors are opaque so that this may change.
const cursorVersion = "1:"

// after gives the sort key of the last item that the caller has.
func (p Page) after() (string, error) {
	if p.Cursor == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	key, ok := strings.CutPrefix(string(text), cursorVersion)
	if err != nil || !ok || key == "" || strings.ContainsRune(key, 0) {
		return "", errs.E(wire.Invalid, "cursor: want what the page before gave as next")
	}
	return key, nil
}

// pageOf makes a page of what was read with one item more than the limit: that one shows that there is a next page.
func pageOf[T, J any](found []T, limit int, sortKey func(T) string, show func(T) (J, bool)) List[J] {
	page := List[J]{Items: []J{}}
	if len(found) > limit {
		found = found[:limit]
		page.Next = base64.RawURLEncoding.EncodeToString([]byte(cursorVersion + sortKey(found[limit-1])))
	}
	for _, item := range found {
		if shown, visible := show(item); visible {
			page.Items = append(page.Items, shown)
		}
	}
	return page
}
