package message

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

// The oracles decode whole messages with other people's libraries and no thought for speed.

var cborOracle = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DefaultMapType: reflect.TypeFor[map[string]any](), MaxNestedLevels: 2 * MaxDepth,
		MaxArrayElements: 1 << 24, MaxMapPairs: 1 << 24, DupMapKey: cbor.DupMapKeyEnforcedAPF,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

// byLibrary decodes one value, and errs if bytes follow it.
func byLibrary(f Format, data []byte) (v any, err error) {
	r := bytes.NewReader(data)
	switch f {
	case JSON:
		d := json.NewDecoder(r)
		d.UseNumber()
		if err = d.Decode(&v); err == nil {
			if _, more := d.Token(); more != io.EOF {
				err = fmt.Errorf("bytes follow: %w", more)
			}
		}
	case MsgPack:
		if err = msgpack.NewDecoder(r).Decode(&v); err == nil && r.Len() > 0 {
			err = fmt.Errorf("%d bytes follow", r.Len())
		}
	default:
		err = cborOracle.Unmarshal(data, &v)
	}
	return normal(f, v), err
}

// normal gives the types that Dict promises in the place of a library's.
func normal(f Format, v any) any {
	switch v := v.(type) {
	case json.Number:
		return jsonNumber(v.String())
	case string:
		if bin, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(v, "\x00")); f == JSON && err == nil && strings.HasPrefix(v, "\x00") {
			return bin
		}
		return v
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = normal(f, v[i])
		}
		return list
	case map[string]any:
		dict := make(Dict, len(v))
		for k := range v {
			dict[k] = normal(f, v[k])
		}
		return dict
	}
	r := reflect.ValueOf(v)
	switch {
	case r.CanInt() && r.Int() < 0:
		return r.Int()
	case r.CanInt():
		return uint64(r.Int())
	case r.CanUint():
		return r.Uint()
	case r.CanFloat():
		return r.Float()
	}
	return v
}

func jsonNumber(text string) any {
	for _, v := range []any{new(uint64), new(int64)} {
		if json.Unmarshal([]byte(text), v) == nil {
			return normal(JSON, reflect.ValueOf(v).Elem().Interface())
		}
	}
	var f float64
	_ = json.Unmarshal([]byte(text), &f)
	return f
}

// encodedByLibrary gives what the library of f encodes to v.
func encodedByLibrary(f Format, v any) ([]byte, error) {
	switch f {
	case JSON:
		return json.Marshal(withBinaries(v))
	case MsgPack:
		return msgpack.Marshal(v)
	default:
		return cbor.Marshal(v)
	}
}

func withBinaries(v any) any {
	switch v := v.(type) {
	case []byte:
		return "\x00" + base64.StdEncoding.EncodeToString(v)
	case float64:
		return json.RawMessage(strconv.FormatFloat(v, 'e', -1, 64)) // encoding/json would write 5.0 as 5
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = withBinaries(v[i])
		}
		return list
	case Dict:
		dict := make(Dict, len(v))
		for k := range v {
			dict[k] = withBinaries(v[k])
		}
		return dict
	}
	return v
}

func TestLibrariesReadWhatWeWrite(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := aMessage().Draw(t, "message")
		for _, f := range formats {
			frame, err := Append(nil, f, m)
			if err != nil {
				t.Fatal(err)
			}
			want, err := byLibrary(f, frame)
			if err != nil {
				t.Fatalf("%s: %v in %q", f, err, frame)
			}
			r := reader{f: f, s: string(frame)}
			if got := r.any(); r.err != nil || !cmp.Equal(got, want, cmpopts.EquateNaNs()) {
				t.Fatalf("%s: %v\n%s", f, r.err, cmp.Diff(want, got))
			}
		}
	})
}

func TestWeReadWhatLibrariesWrite(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		args, kwargs := aList(3).Draw(t, "args"), aDict(3).Draw(t, "kwargs")
		topic, request := aText().Draw(t, "topic"), rapid.Uint64Range(1, uint64(MaxID)).Draw(t, "request")
		details := aDict(3).Draw(t, "details")
		for _, f := range formats {
			frame, err := encodedByLibrary(f, []any{uint64(CodeCall), request, Dict{"timeout": uint64(5), "x": details}, topic, args, kwargs})
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode(f, frame)
			if err != nil {
				t.Fatalf("%s: %v in %q", f, err, frame)
			}
			call := got.(*Call)
			gotArgs, gotKwargs, err := call.Payload.Decode()
			if err != nil || call.Request != ID(request) || call.Procedure != topic || call.Options != (CallOptions{TimeoutMs: 5}) {
				t.Fatalf("%s: got %+v, %v", f, call, err)
			}
			if diff := cmp.Diff([]any{args, kwargs}, []any{gotArgs, gotKwargs}, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s: %s", f, diff)
			}
			if frame, err = encodedByLibrary(f, []any{uint64(CodeHello), topic, details}); err != nil {
				t.Fatal(err)
			}
			if got, err = Decode(f, frame); err != nil || !cmp.Equal(got, Message(&Hello{Realm: topic, Details: details}), cmpopts.EquateEmpty()) {
				t.Fatalf("%s: got %+v, %v", f, got, err)
			}
		}
	})
}
