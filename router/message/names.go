package message

var codeNames = [...]string{
	CodeHello: "HELLO", CodeWelcome: "WELCOME", CodeAbort: "ABORT", CodeChallenge: "CHALLENGE",
	CodeAuthenticate: "AUTHENTICATE", CodeGoodbye: "GOODBYE", CodeError: "ERROR",
	CodePublish: "PUBLISH", CodePublished: "PUBLISHED",
	CodeSubscribe: "SUBSCRIBE", CodeSubscribed: "SUBSCRIBED",
	CodeUnsubscribe: "UNSUBSCRIBE", CodeUnsubscribed: "UNSUBSCRIBED", CodeEvent: "EVENT",
	CodeCall: "CALL", CodeCancel: "CANCEL", CodeResult: "RESULT",
	CodeRegister: "REGISTER", CodeRegistered: "REGISTERED",
	CodeUnregister: "UNREGISTER", CodeUnregistered: "UNREGISTERED",
	CodeInvocation: "INVOCATION", CodeInterrupt: "INTERRUPT", CodeYield: "YIELD",
}

// String is the message type's name in the specification, "" for a code that it does not have.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return ""
}

// Names of options and details.
const (
	optAcknowledge      = "acknowledge"
	optExcludeMe        = "exclude_me"
	optDiscloseMe       = "disclose_me"
	optRetain           = "retain"
	optExclude          = "exclude"
	optExcludeAuthID    = "exclude_authid"
	optExcludeAuthRole  = "exclude_authrole"
	optEligible         = "eligible"
	optEligibleAuthID   = "eligible_authid"
	optEligibleAuthRole = "eligible_authrole"
	optEligibleOther    = "eligible_" // begins the name of a list of anything else

	optMatch       = "match"
	optGetRetained = "get_retained"

	optTopic             = "topic"
	optPublisher         = "publisher"
	optPublisherAuthID   = "publisher_authid"
	optPublisherAuthRole = "publisher_authrole"
	optRetained          = "retained"
	optDropped           = "_dropped" // ours: the specification leaves names that begin with an underscore to implementations

	optReceiveProgress = "receive_progress"
	optProgress        = "progress"
	optTimeout         = "timeout"
	optMode            = "mode"
	optReason          = "reason"

	optInvoke          = "invoke"
	optConcurrency     = "concurrency"
	optForceReregister = "force_reregister"
	optDiscloseCaller  = "disclose_caller"

	optProcedure      = "procedure"
	optCaller         = "caller"
	optCallerAuthID   = "caller_authid"
	optCallerAuthRole = "caller_authrole"

	optAuthID       = "authid"
	optAuthMethod   = "authmethod"
	optAuthProvider = "authprovider"
	optAuthRole     = "authrole"
	optRealm        = "realm"
	optRoles        = "roles"
	optFeatures     = "features"

	optSubscription = "subscription"
	optRegistration = "registration"

	optPPTScheme     = "ppt_scheme"
	optPPTSerializer = "ppt_serializer"
	optPPTCipher     = "ppt_cipher"
	optPPTKeyID      = "ppt_keyid"
	optEncAlgo       = "enc_algo"
	optEncSerializer = "enc_serializer"
	optEncKey        = "enc_key"
)
