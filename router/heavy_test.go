package router_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/gammazero/nexus/v3/client"
	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/router"
	"bulkhead/router/message"
)

// A few MiB of empty lists are hundreds when they are decoded, which a session of this process needs.
func TestACallThatIsTooHeavyForItsCalleeIsRefusedByItsSize(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	service := s.backend(t, realmA)
	answer := func(context.Context, *wamp.Invocation) client.InvokeResult { return client.InvokeResult{} }
	if err := service.Register("history.transformed.x", answer, nil); err != nil {
		t.Fatal(err)
	}
	p := s.device(t, message.JSON, a1)
	for _, call := range []struct{ args, want string }{
		{"[[" + strings.Repeat("[],", 3<<20) + "[]]]", "wamp.error.payload_size_exceeded"},
		{"[[[]]]", ""},
	} {
		p.sendRaw([]byte(`[48,` + strconv.Itoa(int(p.id())) + `,{},"history.transformed.x",` + call.args + `]`))
		m, err := p.next()
		if err != nil {
			t.Fatal(err)
		}
		refusal, refused := m.(*message.Error)
		if refused != (call.want != "") || refused && refusal.URI != call.want {
			t.Errorf("%.20s…: got %+v, want %q", call.args, m, call.want)
		}
	}
}
