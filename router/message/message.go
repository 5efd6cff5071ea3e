// Package message has the WAMP messages as the router sees them: the head decoded and checked, the payload left as it came.
//
// It promises that what Decode returns has the types, the ranges and the UTF-8 that the specification asks for, is nested to a
// limit and has no key twice in a dictionary, payload included, so that no later code checks again; that the time and memory it
// takes are proportional to the frame, whatever lengths it claims; that a message is immutable from then on and may be shared
// between goroutines and realms' sessions; and that a payload is transcoded only when a receiver speaks another serializer than
// its sender.
//
// Source: the WAMP specification, "Message Definitions" and "Serializers".
package message

// ID is a WAMP id: 1 to 2^53.
type ID uint64

// MaxID is the largest id.
const MaxID ID = 1 << 53

// Dict is a decoded dictionary where the set of keys is open (HELLO, WELCOME, CHALLENGE and the like). Integers are int64,
// or uint64 where they are not negative; texts are string, binaries []byte, lists []any, dictionaries Dict.
type Dict = map[string]any

// Code is a message's type code.
type Code uint8

// The message codes of the specification.
const (
	CodeHello        Code = 1
	CodeWelcome      Code = 2
	CodeAbort        Code = 3
	CodeChallenge    Code = 4
	CodeAuthenticate Code = 5
	CodeGoodbye      Code = 6
	CodeError        Code = 8
	CodePublish      Code = 16
	CodePublished    Code = 17
	CodeSubscribe    Code = 32
	CodeSubscribed   Code = 33
	CodeUnsubscribe  Code = 34
	CodeUnsubscribed Code = 35
	CodeEvent        Code = 36
	CodeCall         Code = 48
	CodeCancel       Code = 49
	CodeResult       Code = 50
	CodeRegister     Code = 64
	CodeRegistered   Code = 65
	CodeUnregister   Code = 66
	CodeUnregistered Code = 67
	CodeInvocation   Code = 68
	CodeInterrupt    Code = 69
	CodeYield        Code = 70
)

// Message is one of the message types below, as a pointer.
type Message interface{ Code() Code }

// Passthru are the options of payload passthru mode ("Payload Passthru Mode"); the router carries them and does not look inside.
// Those of Autobahn's older payload transparency (enc_algo and so on) are carried likewise. Few messages have any: nil is none of them.
type Passthru struct {
	Scheme, Serializer, Cipher, KeyID string

	EncAlgo, EncSerializer, EncKey string
}

// Size is how many bytes of text there are.
func (p *Passthru) Size() int {
	if p == nil {
		return 0
	}
	return len(p.Scheme) + len(p.Serializer) + len(p.Cipher) + len(p.KeyID) + len(p.EncAlgo) + len(p.EncSerializer) + len(p.EncKey)
}

// Identity is who published or called, as the router knows it; the zero Identity is not disclosed.
type Identity struct {
	Session  ID
	AuthID   string
	AuthRole string
}

// Session messages.
type (
	// Role is one that a client announces, with the features that it says it has.
	Role struct {
		Name     string
		Features []string
	}
	// Hello asks to join a realm.
	Hello struct {
		Realm   string
		Roles   []Role // of those that clients can have
		Details Dict   // what else is said
	}
	// Admission is what a router says of a session that it lets in.
	Admission struct {
		Realm, AuthID, AuthRole, AuthMethod, AuthProvider string

		Roles *Fixed // the router's own; nil: not said
	}
	// Welcome opens a session. Decode leaves Admission zero: all that was said is in Details then.
	Welcome struct {
		Session   ID
		Admission Admission
		Details   Dict // what else is said
	}
	// Abort refuses or ends a session.
	Abort struct {
		Details Dict
		Reason  string
		Payload Payload
	}
	// Challenge asks for a proof of identity.
	Challenge struct {
		Method string
		Extra  Dict
	}
	// Authenticate answers a Challenge.
	Authenticate struct {
		Signature string
		Extra     Dict
	}
	// Goodbye closes a session.
	Goodbye struct {
		Details Dict
		Reason  string
	}
	// Error answers the request of type Request with the id RequestID.
	Error struct {
		Request   Code
		RequestID ID
		Details   Dict
		Passthru  *Passthru
		URI       string
		Payload   Payload
	}
)

// Publish and subscribe.
type (
	// PublishOptions are the options of a Publish. Nil lists mean "no such option": an empty eligible list excludes all.
	PublishOptions struct {
		Acknowledge      bool
		KeepMe           bool // exclude_me was false
		DiscloseMe       bool
		Retain           bool
		Exclude          []ID
		ExcludeAuthID    []string
		ExcludeAuthRole  []string
		Eligible         []ID
		EligibleAuthID   []string
		EligibleAuthRole []string
		// EligibleOther says that it is for sessions with some other attribute, which none here has proved to have.
		EligibleOther bool
		Passthru      *Passthru
	}
	// Publish is a publication.
	Publish struct {
		Request ID
		Options PublishOptions
		Topic   string
		Payload Payload
	}
	// Published acknowledges a Publish.
	Published struct{ Request, Publication ID }
	// SubscribeOptions are the options of a Subscribe.
	SubscribeOptions struct {
		Match       string // "", "exact", "prefix" or "wildcard"; Decode refuses others
		GetRetained bool
	}
	// Subscribe asks for events.
	Subscribe struct {
		Request ID
		Options SubscribeOptions
		Topic   string
	}
	// Subscribed answers a Subscribe.
	Subscribed struct{ Request, Subscription ID }
	// Unsubscribe ends a subscription.
	Unsubscribe struct{ Request, Subscription ID }
	// Unsubscribed answers an Unsubscribe, or, with Request 0, tells of a revocation of Subscription with a Reason.
	Unsubscribed struct {
		Request      ID
		Subscription ID
		Reason       string
	}
	// EventDetails are the details of an Event.
	EventDetails struct {
		Topic     string // where the subscription is a pattern
		Publisher Identity
		Retained  bool
		Passthru  *Passthru
		// Dropped counts the events that this receiver lost just before this one, where its policy is to drop the oldest.
		Dropped uint64
	}
	// Event is one publication for one subscription.
	Event struct {
		Subscription ID
		Publication  ID
		Details      EventDetails
		Payload      Payload
	}
)

// Remote procedure calls.
type (
	// CallOptions are the options of a Call.
	CallOptions struct {
		ReceiveProgress bool
		Progress        bool  // progressive call invocations: more of this call follows
		TimeoutMs       int64 // 0: none
		DiscloseMe      bool
		Passthru        *Passthru
	}
	// Call calls a procedure.
	Call struct {
		Request   ID
		Options   CallOptions
		Procedure string
		Payload   Payload
	}
	// Cancel cancels a call; Mode is "skip", "kill" or "killnowait" ("" where none was given).
	Cancel struct {
		Request ID
		Mode    string
	}
	// ResultDetails are the details of a Result.
	ResultDetails struct {
		Progress bool
		Passthru *Passthru
	}
	// Result answers a Call.
	Result struct {
		Request ID
		Details ResultDetails
		Payload Payload
	}
	// RegisterOptions are the options of a Register.
	RegisterOptions struct {
		Match           string // "", "exact", "prefix" or "wildcard"; Decode refuses others
		Invoke          string // "", "single", "roundrobin", "random", "first" or "last"; Decode refuses others
		Concurrency     int
		ForceReregister bool
		DiscloseCaller  bool
	}
	// Register offers a procedure.
	Register struct {
		Request   ID
		Options   RegisterOptions
		Procedure string
	}
	// Registered answers a Register.
	Registered struct{ Request, Registration ID }
	// Unregister withdraws a procedure.
	Unregister struct{ Request, Registration ID }
	// Unregistered answers an Unregister, or, with Request 0, tells of a revocation of Registration with a Reason.
	Unregistered struct {
		Request      ID
		Registration ID
		Reason       string
	}
	// InvocationDetails are the details of an Invocation.
	InvocationDetails struct {
		Procedure       string // where the registration is a pattern
		Caller          Identity
		ReceiveProgress bool
		Progress        bool
		TimeoutMs       int64
		Passthru        *Passthru
	}
	// Invocation asks a callee to run a procedure.
	Invocation struct {
		Request      ID
		Registration ID
		Details      InvocationDetails
		Payload      Payload
	}
	// Interrupt asks a callee to stop; Mode is "kill" or "killnowait".
	Interrupt struct {
		Request ID
		Mode    string
		Reason  string
	}
	// YieldOptions are the options of a Yield.
	YieldOptions struct {
		Progress bool
		Passthru *Passthru
	}
	// Yield answers an Invocation.
	Yield struct {
		Request ID
		Options YieldOptions
		Payload Payload
	}
)

func (*Hello) Code() Code        { return CodeHello }
func (*Welcome) Code() Code      { return CodeWelcome }
func (*Abort) Code() Code        { return CodeAbort }
func (*Challenge) Code() Code    { return CodeChallenge }
func (*Authenticate) Code() Code { return CodeAuthenticate }
func (*Goodbye) Code() Code      { return CodeGoodbye }
func (*Error) Code() Code        { return CodeError }
func (*Publish) Code() Code      { return CodePublish }
func (*Published) Code() Code    { return CodePublished }
func (*Subscribe) Code() Code    { return CodeSubscribe }
func (*Subscribed) Code() Code   { return CodeSubscribed }
func (*Unsubscribe) Code() Code  { return CodeUnsubscribe }
func (*Unsubscribed) Code() Code { return CodeUnsubscribed }
func (*Event) Code() Code        { return CodeEvent }
func (*Call) Code() Code         { return CodeCall }
func (*Cancel) Code() Code       { return CodeCancel }
func (*Result) Code() Code       { return CodeResult }
func (*Register) Code() Code     { return CodeRegister }
func (*Registered) Code() Code   { return CodeRegistered }
func (*Unregister) Code() Code   { return CodeUnregister }
func (*Unregistered) Code() Code { return CodeUnregistered }
func (*Invocation) Code() Code   { return CodeInvocation }
func (*Interrupt) Code() Code    { return CodeInterrupt }
func (*Yield) Code() Code        { return CodeYield }
