package core

import (
	"fmt"
	"slices"
	"strings"

	"bulkhead/realms"
	"bulkhead/router/message"
)

// show writes a message down for comparison: ids of subscriptions, registrations and sessions by name, ids of
// publications not at all, and of details what is there.
func (g *rig) show(m message.Message) string {
	var w words
	switch m := m.(type) {
	case *message.Error:
		w.add("ERROR", codeName(m.Request), m.RequestID, m.URI)
		if m.Payload.Format() != message.CBOR { // what the router itself says is not compared
			w.add(g.payload(m.Payload))
		}
	case *message.Published:
		w.add("PUBLISHED", m.Request)
	case *message.Subscribed:
		w.add("SUBSCRIBED", m.Request, g.subscription(m.Subscription))
	case *message.Unsubscribed:
		w.add("UNSUBSCRIBED", m.Request, g.subscription(m.Subscription), m.Reason)
	case *message.Registered:
		w.add("REGISTERED", m.Request, g.registration(m.Registration))
	case *message.Unregistered:
		w.add("UNREGISTERED", m.Request, g.registration(m.Registration), m.Reason)
	case *message.Event:
		w.add("EVENT", g.subscription(m.Subscription), g.payload(m.Payload))
		w.named("topic", m.Details.Topic)
		w.named("publisher", g.identity(m.Details.Publisher))
		w.flag("retained", m.Details.Retained)
		w.named("ppt", schemeOf(m.Details.Passthru))
	case *message.Result:
		w.add("RESULT", m.Request, g.payload(m.Payload))
		w.flag("progress", m.Details.Progress)
		w.named("ppt", schemeOf(m.Details.Passthru))
	case *message.Invocation:
		w.add("INVOCATION", m.Request, g.registration(m.Registration), g.payload(m.Payload))
		w.named("procedure", m.Details.Procedure)
		w.named("caller", g.identity(m.Details.Caller))
		w.flag("receive_progress", m.Details.ReceiveProgress)
		w.flag("progress", m.Details.Progress)
		w.named("ppt", schemeOf(m.Details.Passthru))
	case *message.Interrupt:
		w.add("INTERRUPT", m.Request, m.Mode, m.Reason)
	default:
		w.add(fmt.Sprintf("%T", m))
	}
	return strings.Join(w, " ")
}

func schemeOf(p *message.Passthru) string {
	if p == nil {
		return ""
	}
	return p.Scheme + p.EncAlgo
}

type words []string

func (w *words) add(values ...any) {
	for _, v := range values {
		if s := fmt.Sprint(v); s != "" {
			*w = append(*w, s)
		}
	}
}

func (w *words) named(name, value string) {
	if value != "" {
		*w = append(*w, name+"="+value)
	}
}

func (w *words) flag(name string, on bool) {
	if on {
		*w = append(*w, name)
	}
}

func (g *rig) identity(i message.Identity) string {
	if i == (message.Identity{}) {
		return ""
	}
	return fmt.Sprintf("%s,%s,%s", g.names[i.Session], i.AuthID, i.AuthRole)
}

// subscription gives the pattern of a subscription, which it remembers: it may be asked when there is none any more.
func (g *rig) subscription(id message.ID) string {
	if sub := g.realm.subscriptionByID[id]; sub != nil {
		g.names[id] = spec(sub.pattern)
	}
	return g.name(id)
}

func (g *rig) registration(id message.ID) string {
	if r := g.realm.registrationByID[id]; r != nil {
		g.names[id] = spec(r.pattern)
	}
	return g.name(id)
}

func (g *rig) name(id message.ID) string {
	if name, ok := g.names[id]; ok {
		return name
	}
	return fmt.Sprintf("<%d>", id)
}

func spec(p pattern) string {
	if p.match == realms.Exact {
		return p.uri
	}
	return matchName(p.match) + ":" + p.uri
}

func codeName(c message.Code) string {
	return map[message.Code]string{
		message.CodeCall: "CALL", message.CodePublish: "PUBLISH", message.CodeSubscribe: "SUBSCRIBE",
		message.CodeUnsubscribe: "UNSUBSCRIBE", message.CodeRegister: "REGISTER", message.CodeUnregister: "UNREGISTER",
	}[c]
}

func (g *rig) payload(p message.Payload) string {
	args, kwargs, err := p.Decode()
	if err != nil {
		return err.Error()
	}
	var w words
	for _, a := range args {
		w.add(g.value(a))
	}
	for _, k := range sortedKeys(kwargs) {
		w.named(k, g.value(kwargs[k]))
	}
	return strings.Join(w, " ")
}

// value writes a value down, with names for ids.
func (g *rig) value(v any) string {
	switch v := v.(type) {
	case uint64:
		id := message.ID(v)
		g.subscription(id)
		g.registration(id)
		if name, ok := g.names[id]; ok {
			return name
		}
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = g.value(item)
		}
		return "[" + strings.Join(items, " ") + "]"
	case message.Dict:
		var w words
		for _, k := range sortedKeys(v) {
			w = append(w, k+"="+g.value(v[k]))
		}
		return "{" + strings.Join(w, " ") + "}"
	case nil:
		return "null"
	}
	return fmt.Sprint(v)
}

func sortedKeys(d message.Dict) []string {
	var keys []string
	for k := range d {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func joinWords(w []string) string { return strings.Join(w, " ") }

func (w words) String() string { return strings.Join(w, " ") }

func fmtID(id message.ID) string { return fmt.Sprint(uint64(id)) }
