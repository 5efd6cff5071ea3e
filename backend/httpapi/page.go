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
		page.Next = cursorOf(sortKey(found[limit-1]))
	}
	for _, item := range found {
		if shown, visible := show(item); visible {
			page.Items = append(page.Items, shown)
		}
	}
	return page
}

// visibleBatch is how many items are read at once where some may not be seen.
const visibleBatch = 500

// visiblePage makes a page of what the caller sees of a list that is read in the order of its keys. Nothing in it, its
// cursor neither, tells of what the caller does not see.
func visiblePage[T, J any](limit int, after string, read func(after string, limit int) ([]T, error), sortKey func(T) string, show func(T) (J, bool)) (List[J], error) {
	page := List[J]{Items: []J{}}
	last := ""
	for {
		found, err := read(after, visibleBatch)
		if err != nil {
			return page, err
		}
		for _, item := range found {
			shown, visible := show(item)
			if !visible {
				continue
			}
			if len(page.Items) == limit {
				page.Next = cursorOf(last)
				return page, nil
			}
			page.Items, last = append(page.Items, shown), sortKey(item)
		}
		if len(found) < visibleBatch {
			return page, nil
		}
		after = sortKey(found[len(found)-1])
	}
}

func cursorOf(key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorVersion + key))
}
