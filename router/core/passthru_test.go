package core

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/router/message"
)

// opaque is Autobahn's older payload transparency.
var opaque = &message.Passthru{EncAlgo: "cryptobox", EncSerializer: "cbor", EncKey: "k"}

func TestPayloadTransparencyIsCarriedWhole(t *testing.T) {
	t.Parallel()
	g := newRig(t, keeping(HistoryRule{Topic: "a", Events: 3}))
	ann, bob := g.join("ann"), g.join("bob")
	g.register(bob, "a")
	g.call(ann, "a", func(o *message.CallOptions) { o.Passthru = opaque })
	g.expect(bob, "INVOCATION 1 a hello ppt=cryptobox")
	for _, c := range ann.calls {
		if diff := cmp.Diff(opaque, c.details.Passthru); diff != "" {
			t.Errorf("of the call:\n%s", diff)
		}
	}
	g.publish(bob, "a", func(o *message.PublishOptions) { o.Retain, o.Passthru = true, opaque })
	if diff := cmp.Diff(opaque, g.realm.retained["a"].forAll.event.Details.Passthru); diff != "" {
		t.Errorf("of the retained event:\n%s", diff)
	}
	answer := g.meta(ann, "wamp.subscription.get_events", g.subscribe(ann, "a"))
	for _, option := range []string{"enc_algo=cryptobox", "enc_key=k", "enc_serializer=cbor"} {
		if !strings.Contains(answer, option) {
			t.Errorf("the history is %s, without %s", answer, option)
		}
	}
}

func TestTheOptionsOfPayloadPassthruAreNoPlaceToKeepThings(t *testing.T) {
	t.Parallel()
	g := newRig(t, keeping(HistoryRule{Topic: "a", Events: 100, Bytes: 3 * maxPassthru}), func(c *Config) {
		c.Quotas.AuthID.RetainedBytes = maxPassthru
	})
	ann, bob := g.join("ann"), g.join("bob")
	g.register(bob, "p")
	sub := g.subscribe(bob, "a")
	most := &message.Passthru{Scheme: "x_custom", KeyID: strings.Repeat("k", maxPassthru-len("x_custom"))}
	tooMuch := &message.Passthru{Scheme: "x_custom", KeyID: most.KeyID + "k"}

	g.call(ann, "p", func(o *message.CallOptions) { o.Passthru = tooMuch })
	g.expect(ann, "ERROR CALL 1 "+overQuota)
	g.publish(ann, "a", func(o *message.PublishOptions) { o.Acknowledge, o.Passthru = true, tooMuch })
	g.expect(ann, "ERROR PUBLISH 9 "+overQuota)
	ppt := message.Dict{"publish_options": message.Dict{"ppt_scheme": "x_custom", "ppt_keyid": tooMuch.KeyID}}
	if got := g.metaKw(ann, addProcedure, ppt, "a"); got != overQuota {
		t.Errorf("a testament: %s", got)
	}
	g.expect(bob)

	g.publish(ann, "a", func(o *message.PublishOptions) { o.Acknowledge, o.Retain, o.Passthru = true, true, most })
	g.expect(ann, "ERROR PUBLISH 9 "+overQuota) // what is retained is charged with its options
	for range 5 {
		g.publish(ann, "a", func(o *message.PublishOptions) { o.Passthru = most })
	}
	if kept := len(g.realm.subscriptionByID[sub].history.events); kept != 2 {
		t.Errorf("%d events are kept with room for the options of 2", kept)
	}
}
