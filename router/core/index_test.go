package core

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/realms"
)

// linear is an index that asks realms.Match of each pattern.
type linear []pattern

func (l linear) matching(uri string) (found []pattern) {
	for _, p := range l {
		if p.match.Matches(p.uri, uri) {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, precedence)
	return found
}

// best is the first of the exact ones, else the longest prefix, else the first wildcard.
func (l linear) best(uri string) (best pattern, ok bool) {
	for _, p := range l.matching(uri) {
		if !ok || p.match == realms.Prefix && best.match == realms.Prefix {
			best, ok = p, true
		}
	}
	return best, ok
}

// memory is what is known of each URI that was asked for.
type memory map[string]*unmatched

func (m memory) of(uri string) *unmatched {
	if m[uri] == nil {
		m[uri] = &unmatched{}
	}
	return m[uri]
}

// check compares an index with what a linear search finds, with what is known of the URI and without.
func (l linear) check(t failer, x *index[pattern], known memory, uri string) {
	t.Helper()
	for _, known := range []*unmatched{nil, known.of(uri)} {
		var got []pattern
		for _, p := range x.matching(uri, known, nil) {
			got = append(got, *p)
		}
		if want := l.matching(uri); !slices.Equal(got, want) {
			t.Errorf("%q is matched by %v, want %v; known is %v", uri, got, want, known)
		}
	}
	best, ok := l.best(uri)
	if got := x.best(uri); (got != nil) != ok || ok && *got != best {
		t.Errorf("best for %q is %v, want %v %v", uri, got, best, ok)
	}
}

func TestTheIndexAgreesWithALinearSearch(t *testing.T) {
	t.Parallel()
	component := rapid.SampledFrom([]string{"", "a", "b", "ab", "abc", "c"})
	uri := rapid.Map(rapid.SliceOfN(component, 1, 5), func(c []string) string { return strings.Join(c, ".") })
	rapid.Check(t, func(rt *rapid.T) {
		x, l, known := newIndex[pattern](), linear{}, memory{}
		for range rapid.IntRange(0, 60).Draw(rt, "steps") {
			p := pattern{realms.Match(rapid.IntRange(0, 2).Draw(rt, "match")), uri.Draw(rt, "pattern")}
			at := slices.Index(l, p)
			switch remove := rapid.Bool().Draw(rt, "remove"); {
			case remove:
				x.remove(p) // removing what is not there changes nothing
				l = slices.DeleteFunc(l, func(q pattern) bool { return q == p })
			case at < 0:
				x.put(p, &p)
				l = append(l, p)
			}
			l.check(rt, &x, known, uri.Draw(rt, "uri"))
		}
		for _, p := range l {
			x.remove(p)
		}
		if !x.empty() {
			rt.Errorf("something is left of an index from which all was removed")
		}
	})
}

// FuzzPatterns takes a list of patterns and URIs, one a line, and compares with the definition of matching.
func FuzzPatterns(f *testing.F) {
	f.Add("a.b\na..c\n\n.\na.", "a.b.c\na.b")
	f.Add("\n..\n...\na...", "a\n.\na.b.c.d\n")
	f.Add("com.myapp.topic\ncom.myapp\ncom.myapp.", "com.myapp.topic.x\ncom.myapp2")
	f.Add("é\n\xff\xfe\né.", "é.a\n\xff")
	f.Fuzz(func(t *testing.T, patterns, uris string) {
		x, l, known := newIndex[pattern](), linear{}, memory{}
		for i, text := range strings.Split(patterns, "\n") {
			p := pattern{realms.Match(i % 3), text}
			if x.get(p) == nil {
				x.put(p, &p)
				l = append(l, p)
			}
		}
		check := func() {
			for uri := range strings.SplitSeq(uris+"\n"+patterns, "\n") {
				l.check(t, &x, known, uri)
			}
		}
		check()
		for len(l) > 0 {
			at := len(l) / 2
			x.remove(l[at])
			l = slices.Delete(l, at, at+1)
			check()
		}
		if !x.empty() {
			t.Error("something is left of an index from which all was removed")
		}
	})
}

func TestURIs(t *testing.T) {
	t.Parallel()
	const exact, prefix, wildcard = realms.Exact, realms.Prefix, realms.Wildcard
	for _, c := range []struct {
		uri           string
		match         realms.Match
		loose, strict bool
	}{
		{"com.myapp.topic", exact, true, true},
		{"com.myapp.Topic", exact, true, false},
		{"com.my-app", exact, true, false},
		{"2.3.metrics_1", exact, true, true},
		{"größe.é", exact, true, false},
		{"", exact, false, false},
		{".", exact, false, false},
		{"a.", exact, false, false},
		{".a", exact, false, false},
		{"a..b", exact, false, false},
		{"a b", exact, false, false},
		{"a\tb", exact, false, false},
		{"a\u00a0b", exact, false, false},
		{"a\u2028b", exact, false, false},
		{"a\x00b", exact, false, false},
		{"a\x7fb", exact, false, false},
		{"a#b", exact, false, false},
		{"a\xffb", exact, false, false},
		{"a\ufffdb", exact, true, false},
		{"", prefix, true, true},
		{"a.", prefix, true, true},
		{"a.b", prefix, true, true},
		{"a..", prefix, false, false},
		{".a", prefix, false, false},
		{"", wildcard, true, true},
		{"..", wildcard, true, true},
		{"a..b", wildcard, true, true},
		{"a..b c", wildcard, false, false},
	} {
		for _, strict := range []bool{false, true} {
			r := NewRealm(Config{StrictURIs: strict}, epoch)
			want := c.loose
			if strict {
				want = c.strict
			}
			if err := r.checkURI(c.uri, c.match); (err == nil) != want {
				t.Errorf("%q, %s, strict %v: %v, want valid %v", c.uri, matchName(c.match), strict, err, want)
			}
		}
	}
}
