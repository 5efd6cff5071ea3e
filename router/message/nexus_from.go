package message

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/gammazero/nexus/v3/wamp"
)

var errNoNexusMessage = errors.New("message: no nexus message")

// FromNexus converts a message of nexus, whose arguments may be any Go values. It is checked as Decode checks what comes from afar.
func FromNexus(m wamp.Message) (Message, error) {
	v := reflect.ValueOf(m)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil, errNoNexusMessage
	}
	w := writer{f: MsgPack}
	w.nexus(m.MessageType(), v.Elem())
	if w.err != nil {
		return nil, fmt.Errorf("convert %s: %w", m.MessageType(), w.err)
	}
	return Decode(MsgPack, w.b)
}

// nexus appends a message of nexus: the fields are the elements, in their order.
func (w *writer) nexus(code wamp.MessageType, fields reflect.Value) {
	mark := w.open(false)
	w.int(int64(code))
	last := lastElement(fields)
	for i := range last + 1 {
		w.any(withoutPassthru(fields.Field(i).Interface()))
	}
	w.close(mark, false, last+2)
}

// lastElement is the index of the last field that is no empty arguments.
func lastElement(fields reflect.Value) int {
	last := fields.NumField() - 1
	for last >= 0 && strings.Contains(fields.Type().Field(last).Tag.Get("wamp"), "omitempty") && fields.Field(last).Len() == 0 {
		last--
	}
	return last
}

// withoutPassthru gives arguments without the structure that nexus's client puts there for payload passthru without a serializer;
// its names on the wire stand in tags that only nexus's serializers read.
func withoutPassthru(v any) any {
	args, ok := v.(wamp.List)
	if !ok || len(args) != 1 {
		return v
	}
	p, ok := args[0].(*wamp.PassthruPayload)
	if !ok || p == nil {
		return v
	}
	return wamp.List{Dict{"args": p.Arguments, "kwargs": p.ArgumentsKw}}
}
