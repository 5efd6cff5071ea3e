package message

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// The generators are functions, because rapid's generators may not be shared by tests that run at the same time.

// aText is any text but one that JSON would take for a binary.
func aText() *rapid.Generator[string] { return rapid.Custom(drawText) }

func drawText(t *rapid.T) string {
	text := rapid.OneOf(
		rapid.StringMatching(`[a-z]{1,5}(\.[a-z]{0,5}){0,3}`),
		rapid.String(),
		rapid.SampledFrom([]string{"", "\"\\/\b\f\n\r\t", "\u2028<&>", "𝄞", strings.Repeat("x", 300), strings.Repeat("é", 40000)}),
	).Draw(t, "text")
	return strings.TrimLeft(text, "\x00")
}

func aNumber() *rapid.Generator[any] {
	return rapid.OneOf(
		rapid.Map(rapid.Uint64(), func(n uint64) any { return n }),
		rapid.Map(rapid.Int64Max(-1), func(n int64) any { return n }),
		rapid.Map(rapid.Float64(), func(f float64) any { return f }),
		rapid.SampledFrom([]any{uint64(0), uint64(127), uint64(128), uint64(255), uint64(256), uint64(65535), uint64(65536), uint64(1<<53 + 1),
			uint64(1<<64 - 1), int64(-1), int64(-32), int64(-33), int64(-128), int64(-129), int64(-32769), int64(-1 << 63), 0.0, 5.0, 1e21, 1e300, 5e-324}),
	)
}

// aValue is a value of the types that Dict promises.
func aValue(depth int) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{
		aNumber(),
		rapid.Map(aText(), func(s string) any { return s }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) any { return b }),
		rapid.Just[any](nil),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	return rapid.OneOf(append(scalars,
		rapid.Map(aList(depth-1), func(l []any) any { return l }),
		rapid.Map(aDict(depth-1), func(d Dict) any { return d }))...)
}

func aList(depth int) *rapid.Generator[[]any] {
	return rapid.OneOf(rapid.SliceOfN(aValue(depth), 0, 4), rapid.SliceOfN(rapid.Just[any](true), 14, 30))
}

func aDict(depth int) *rapid.Generator[Dict] {
	return rapid.OneOf(
		rapid.MapOfN(aText(), aValue(depth), 0, 4),
		rapid.MapOfN(rapid.StringMatching(`[a-z0-9]{3,6}`), rapid.Just[any](uint64(1)), 10, 40),
	)
}

func aPayload() *rapid.Generator[Payload] { return rapid.Custom(drawPayload) }

func drawPayload(t *rapid.T) Payload {
	var args []any
	var kwargs Dict
	if rapid.Bool().Draw(t, "has args") {
		args = aList(2).Draw(t, "args")
	}
	if rapid.Bool().Draw(t, "has kwargs") {
		kwargs = aDict(2).Draw(t, "kwargs")
	}
	p, err := NewPayload(rapid.SampledFrom(formats).Draw(t, "format"), args, kwargs)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// aMessage is a message of any type, each field filled as Decode could have.
func aMessage() *rapid.Generator[Message] { return rapid.Custom(drawMessage) }

func drawMessage(t *rapid.T) Message {
	kinds := slices.Sorted(maps.Keys(vectors))
	example := vectors[rapid.SampledFrom(kinds).Draw(t, "type")]
	m := reflect.New(reflect.TypeOf(example).Elem())
	fill(t, m.Elem(), "")
	switch m := m.Interface().(type) {
	case *Unsubscribed:
		if m.Request = 0; rapid.Bool().Draw(t, "answer") {
			*m = Unsubscribed{Request: 1}
		}
	case *Unregistered:
		if m.Request = 0; rapid.Bool().Draw(t, "answer") {
			*m = Unregistered{Request: 1}
		}
	case *Error:
		for _, name := range passthruNames {
			delete(m.Details, name)
		}
	}
	return m.Interface().(Message)
}

// allowed are the values of fields that are not free.
var allowed = map[string][]string{
	"Match":  {"", "exact", "prefix", "wildcard"},
	"Invoke": {"", "single", "roundrobin", "random", "first", "last"},
	"Mode":   {"", "kill", "killnowait"},
}

func fill(t *rapid.T, v reflect.Value, name string) {
	switch p := v.Addr().Interface().(type) {
	case *ID:
		*p = ID(rapid.Uint64Range(1, uint64(MaxID)).Draw(t, name))
	case *Code:
		*p = rapid.SampledFrom([]Code{CodePublish, CodeSubscribe, CodeUnsubscribe, CodeCall, CodeRegister, CodeUnregister, CodeInvocation}).Draw(t, name)
	case *string:
		*p = aText().Draw(t, name)
		if values := allowed[name]; values != nil {
			*p = rapid.SampledFrom(values).Draw(t, name)
		}
	case *bool:
		*p = rapid.Bool().Draw(t, name)
	case *int:
		*p = rapid.IntRange(0, 1<<31-1).Draw(t, name)
	case *int64:
		*p = rapid.Int64Range(0, int64(MaxID)).Draw(t, name)
	case *uint64:
		*p = rapid.Uint64Range(0, uint64(MaxID)).Draw(t, name)
	case *[]ID:
		*p = rapid.SliceOfN(rapid.Map(rapid.Uint64Range(1, uint64(MaxID)), func(n uint64) ID { return ID(n) }), 0, 40).Draw(t, name)
	case *[]string:
		*p = rapid.SliceOfN(aText(), 0, 3).Draw(t, name)
	case *Dict:
		*p = aDict(2).Draw(t, name)
	case *Payload:
		*p = aPayload().Draw(t, name)
	case *[]Role:
		for _, role := range rapid.SliceOfDistinct(rapid.SampledFrom(clientRoles), rapid.ID).Draw(t, name) {
			features := rapid.SliceOfNDistinct(aText(), 0, 3, rapid.ID).Draw(t, role)
			slices.Sort(features)
			*p = append(*p, Role{role, append([]string(nil), features...)})
		}
		slices.SortFunc(*p, func(a, b Role) int { return strings.Compare(a.Name, b.Name) })
	case **Passthru:
		var some Passthru
		if rapid.Bool().Draw(t, name) {
			fill(t, reflect.ValueOf(&some).Elem(), name)
		}
		if some != (Passthru{}) {
			*p = &some
		}
	case *Admission: // Decode leaves it as it is
	default:
		for i := range v.NumField() {
			fill(t, v.Field(i), v.Type().Field(i).Name)
		}
	}
}
