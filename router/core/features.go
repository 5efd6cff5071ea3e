package core

import (
	"slices"

	"bulkhead/router/message"
)

// Features gives the roles and features that WELCOME announces. The value is the caller's to change.
func Features() message.Dict {
	broker := message.Dict{}
	for _, f := range brokerFeatures {
		broker[f] = true
	}
	dealer := message.Dict{}
	for _, f := range dealerFeatures {
		dealer[f] = true
	}
	return message.Dict{"broker": message.Dict{"features": broker}, "dealer": message.Dict{"features": dealer}}
}

var brokerFeatures = []string{
	"event_history", "event_retention", "pattern_based_subscription", "payload_passthru_mode",
	"publisher_exclusion", "publisher_identification", "session_meta_api",
	"subscriber_blackwhite_listing", "subscription_meta_api", "subscription_revocation", "testament_meta_api",
}

var dealerFeatures = []string{
	"call_canceling", "call_timeout", "caller_identification", "pattern_based_registration", "payload_passthru_mode",
	"progressive_call_invocations", "progressive_call_results", "registration_meta_api",
	"registration_revocation", "session_meta_api", "shared_registration", "testament_meta_api",
}

// ClientFeatures are the features that a client announced in HELLO and that the router must know to treat it right.
type ClientFeatures struct {
	CallCanceling                bool // callee: INTERRUPT may be sent to it
	RegistrationRevocation       bool // callee: UNREGISTERED may be sent to it unasked
	SubscriptionRevocation       bool // subscriber: UNSUBSCRIBED may be sent to it unasked
	ProgressiveInvocationsCaller bool // caller: may send a call in parts
	ProgressiveInvocationsCallee bool // callee: may be sent a call in parts
	CallPassthru                 bool // caller: may call, and be answered, with payload passthru
	CalleePassthru               bool // callee: may be called, and answer, with payload passthru
	PublishPassthru              bool // publisher: may publish with payload passthru
}

// FeaturesOf finds among the roles that a client announces what the router must know of it.
func FeaturesOf(roles []message.Role) ClientFeatures {
	has := func(role, feature string) bool {
		return slices.ContainsFunc(roles, func(r message.Role) bool { return r.Name == role && slices.Contains(r.Features, feature) })
	}
	const passthru, inParts = "payload_passthru_mode", "progressive_call_invocations"
	return ClientFeatures{
		CallCanceling:                has("callee", "call_canceling"),
		RegistrationRevocation:       has("callee", "registration_revocation"),
		SubscriptionRevocation:       has("subscriber", "subscription_revocation"),
		ProgressiveInvocationsCaller: has("caller", inParts),
		ProgressiveInvocationsCallee: has("callee", inParts),
		CallPassthru:                 has("caller", passthru),
		CalleePassthru:               has("callee", passthru),
		PublishPassthru:              has("publisher", passthru),
	}
}
