package message

// message reads the elements after the code.
func (h *head) message() Message {
	switch h.code {
	case CodePublish:
		m := &Publish{Request: h.id(whatRequest)}
		h.publishOptions(&m.Options)
		m.Topic = h.text("the topic")
		m.Payload = h.payload(m.Options.Passthru.opaque())
		return m
	case CodeEvent:
		m := &Event{Subscription: h.id(whatSubscription), Publication: h.id(whatPublication)}
		h.eventDetails(&m.Details)
		m.Payload = h.payload(m.Details.Passthru.opaque())
		return m
	case CodePublished:
		return &Published{Request: h.id(whatRequest), Publication: h.id(whatPublication)}
	case CodeSubscribe:
		m := &Subscribe{Request: h.id(whatRequest)}
		h.subscribeOptions(&m.Options)
		m.Topic = h.text("the topic")
		return m
	case CodeSubscribed:
		return &Subscribed{Request: h.id(whatRequest), Subscription: h.id(whatSubscription)}
	case CodeUnsubscribe:
		return &Unsubscribe{Request: h.id(whatRequest), Subscription: h.id(whatSubscription)}
	case CodeUnsubscribed:
		m := &Unsubscribed{}
		m.Request, m.Subscription, m.Reason = h.withdrawn(optSubscription)
		return m
	default:
		return h.callMessage()
	}
}

// What an element is called when it is refused.
const (
	whatRequest      = "the request id"
	whatSession      = "the session id"
	whatPublication  = "the publication id"
	whatSubscription = "the subscription id"
	whatRegistration = "the registration id"
	whatProcedure    = "the procedure"
	whatReason       = "the reason"
	whatOptions      = "the options"
	whatDetails      = "the details"
	whatExtra        = "the extra"
)

func (h *head) callMessage() Message {
	switch h.code {
	case CodeCall:
		m := &Call{Request: h.id(whatRequest)}
		h.callOptions(&m.Options)
		m.Procedure = h.text(whatProcedure)
		m.Payload = h.payload(m.Options.Passthru.opaque())
		return m
	case CodeInvocation:
		m := &Invocation{Request: h.id(whatRequest), Registration: h.id(whatRegistration)}
		h.invocationDetails(&m.Details)
		m.Payload = h.payload(m.Details.Passthru.opaque())
		return m
	case CodeYield:
		m := &Yield{Request: h.id(whatRequest)}
		h.progressOptions(whatOptions, &m.Options.Progress, &m.Options.Passthru)
		m.Payload = h.payload(m.Options.Passthru.opaque())
		return m
	case CodeResult:
		m := &Result{Request: h.id(whatRequest)}
		h.progressOptions(whatDetails, &m.Details.Progress, &m.Details.Passthru)
		m.Payload = h.payload(m.Details.Passthru.opaque())
		return m
	case CodeCancel:
		m := &Cancel{Request: h.id(whatRequest)}
		h.stopOptions(&m.Mode, nil)
		return m
	case CodeInterrupt:
		m := &Interrupt{Request: h.id(whatRequest)}
		h.stopOptions(&m.Mode, &m.Reason)
		return m
	default:
		return h.registerMessage()
	}
}

func (h *head) registerMessage() Message {
	switch h.code {
	case CodeRegister:
		m := &Register{Request: h.id(whatRequest)}
		h.registerOptions(&m.Options)
		m.Procedure = h.text(whatProcedure)
		return m
	case CodeRegistered:
		return &Registered{Request: h.id(whatRequest), Registration: h.id(whatRegistration)}
	case CodeUnregister:
		return &Unregister{Request: h.id(whatRequest), Registration: h.id(whatRegistration)}
	case CodeUnregistered:
		m := &Unregistered{}
		m.Request, m.Registration, m.Reason = h.withdrawn(optRegistration)
		return m
	default:
		return h.sessionMessage()
	}
}

func (h *head) sessionMessage() Message {
	switch h.code {
	case CodeHello:
		m := &Hello{Realm: h.text("the realm")}
		h.helloDetails(m)
		return m
	case CodeWelcome:
		return &Welcome{Session: h.id(whatSession), Details: h.dict(whatDetails)}
	case CodeAbort:
		return &Abort{Details: h.dict(whatDetails), Reason: h.text(whatReason), Payload: h.payload(false)}
	case CodeChallenge:
		return &Challenge{Method: h.text("the method"), Extra: h.dict(whatExtra)}
	case CodeAuthenticate:
		return &Authenticate{Signature: h.text("the signature"), Extra: h.dict(whatExtra)}
	case CodeGoodbye:
		return &Goodbye{Details: h.dict(whatDetails), Reason: h.text(whatReason)}
	case CodeError:
		m := &Error{Request: h.requestCode(), RequestID: h.id(whatRequest)}
		h.errorDetails(m)
		m.URI = h.text("the error")
		m.Payload = h.payload(m.Passthru.opaque())
		return m
	}
	return nil // readCode has failed
}

// requestCode reads the type of the request that an Error answers.
func (h *head) requestCode() Code {
	const what = "the request type"
	h.next(what)
	n, _ := h.integer()
	switch code := Code(n); {
	case n > uint64(CodeInvocation):
	case code == CodePublish, code == CodeSubscribe, code == CodeUnsubscribe, code == CodeCall,
		code == CodeRegister, code == CodeUnregister, code == CodeInvocation:
		return code
	}
	h.reject(what, "has no errors")
	return 0
}

// withdrawn reads what follows the code of an Unsubscribed or Unregistered.
func (h *head) withdrawn(key string) (request, id ID, reason string) {
	h.next(whatRequest)
	n, ok := h.integer()
	if !ok || ID(n) > MaxID {
		h.reject(whatRequest, "is not an integer from 0 to 9007199254740992")
		return 0, 0, ""
	}
	if n != 0 {
		return ID(n), 0, ""
	}
	q, ok := h.openDict(whatDetails)
	for ok && h.more(&q) {
		switch name := h.key(&q); name {
		case key:
			id = h.idValue(name)
		case optReason:
			reason = h.textOption(name)
		default:
			h.skip()
		}
	}
	return 0, id, reason
}
