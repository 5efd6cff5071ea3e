package message

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// any appends a Go value: those types directly that decoding gives, others by reflection.
func (w *writer) any(v any) {
	switch v := v.(type) {
	case nil:
		w.null()
	case bool:
		w.bool(v)
	case int:
		w.int(int64(v))
	case int64:
		w.int(v)
	case uint64:
		w.uint(v)
	case ID:
		w.id(v)
	case float64:
		w.float(v)
	case string:
		w.text(v)
	case []byte:
		w.binary(string(v))
	case []any:
		w.list(v)
	case Dict:
		w.dict(v)
	case *Fixed:
		w.raw(v.encoded[w.f])
	default:
		w.reflected(reflect.ValueOf(v))
	}
}

func (w *writer) list(list []any) {
	mark := w.open(false)
	for _, v := range list {
		if w.err != nil {
			return // also what ends a list that contains itself
		}
		w.any(v)
	}
	w.close(mark, false, len(list))
}

// dict appends a dictionary in the order of its keys, so that equal values have equal encodings.
func (w *writer) dict(dict Dict) {
	var space [16]string
	keys := space[:0]
	for k := range dict {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	mark := w.open(true)
	for _, k := range keys {
		if w.err != nil {
			return
		}
		w.key(k)
		w.any(dict[k])
	}
	w.close(mark, true, len(dict))
}

// reflected appends values of named and composed types.
func (w *writer) reflected(v reflect.Value) {
	switch {
	case isBytes(v):
		w.binary(string(v.Bytes()))
	case hasOwnEncoding(v):
		w.viaJSON(v)
	case v.CanInt():
		w.int(v.Int())
	case v.CanUint():
		w.uint(v.Uint())
	case v.CanFloat():
		w.float(v.Float())
	default:
		w.composed(v)
	}
}

func (w *writer) composed(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		w.bool(v.Bool())
	case reflect.String:
		w.text(v.String())
	case reflect.Slice, reflect.Array:
		w.reflectedList(v)
	case reflect.Map:
		w.reflectedDict(v)
	case reflect.Pointer:
		w.reflectedPointer(v)
	default:
		w.viaJSON(v)
	}
}

// isBytes reports whether v is a slice of bytes and nothing more than that: net.IP is a text, json.RawMessage anything.
func isBytes(v reflect.Value) bool {
	if v.Kind() != reflect.Slice || v.Type().Elem().Kind() != reflect.Uint8 {
		return false
	}
	switch v.Interface().(type) {
	case json.RawMessage, encoding.TextMarshaler:
		return false
	}
	return true
}

// hasOwnEncoding reports whether v's type says how it is encoded in JSON.
func hasOwnEncoding(v reflect.Value) bool {
	switch v.Interface().(type) {
	case json.Marshaler, encoding.TextMarshaler, json.Number:
		return true
	}
	return false
}

func (w *writer) reflectedPointer(v reflect.Value) {
	if v.IsNil() {
		w.null()
		return
	}
	if w.depth++; w.depth > MaxDepth { // a pointer can lead back to itself
		w.fail(errDepth)
		return
	}
	w.any(v.Elem().Interface())
	w.depth--
}

var (
	listType = reflect.TypeFor[[]any]()
	dictType = reflect.TypeFor[Dict]()
)

func (w *writer) reflectedList(v reflect.Value) {
	if v.Kind() == reflect.Slice && v.CanConvert(listType) {
		w.list(v.Convert(listType).Interface().([]any))
		return
	}
	list := make([]any, v.Len())
	for i := range list {
		list[i] = v.Index(i).Interface()
	}
	w.list(list)
}

func (w *writer) reflectedDict(v reflect.Value) {
	switch {
	case v.CanConvert(dictType):
		w.dict(v.Convert(dictType).Interface().(Dict))
		return
	case v.Type().Key().Kind() != reflect.String:
		w.viaJSON(v)
		return
	}
	dict := make(Dict, v.Len())
	for it := v.MapRange(); it.Next(); {
		dict[it.Key().String()] = it.Value().Interface()
	}
	w.dict(dict)
}

// viaJSON appends v as encoding/json sees it.
func (w *writer) viaJSON(v reflect.Value) {
	if w.err != nil {
		return
	}
	text, err := json.Marshal(v.Interface())
	if err != nil {
		w.fail(fmt.Errorf("message: encode %s: %w", v.Type(), err))
		return
	}
	r := reader{f: JSON, s: string(text), depth: w.depth}
	w.copy(&r)
	if r.err != nil {
		w.fail(r.err)
	}
}
