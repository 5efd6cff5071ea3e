package message

import "math"

func (h *head) timeout(name string) int64 { return int64(h.number(name, MaxID)) }

func (h *head) callOptions(o *CallOptions) {
	q, ok := h.openDict(whatOptions)
	for ok && h.more(&q) {
		switch name := h.key(&q); name {
		case optReceiveProgress:
			o.ReceiveProgress = h.flag(name)
		case optProgress:
			o.Progress = h.flag(name)
		case optTimeout:
			o.TimeoutMs = h.timeout(name)
		case optDiscloseMe:
			o.DiscloseMe = h.flag(name)
		default:
			h.passthru(name, &o.Passthru)
		}
	}
}

func (h *head) invocationDetails(d *InvocationDetails) {
	q, ok := h.openDict(whatDetails)
	for ok && h.more(&q) {
		switch name := h.key(&q); name {
		case optProcedure:
			d.Procedure = h.textOption(name)
		case optCaller:
			d.Caller.Session = h.idOption(name)
		case optCallerAuthID:
			d.Caller.AuthID = h.textOption(name)
		case optCallerAuthRole:
			d.Caller.AuthRole = h.textOption(name)
		case optReceiveProgress:
			d.ReceiveProgress = h.flag(name)
		case optProgress:
			d.Progress = h.flag(name)
		case optTimeout:
			d.TimeoutMs = h.timeout(name)
		default:
			h.passthru(name, &d.Passthru)
		}
	}
}

// progressOptions reads the options of a Yield or the details of a Result.
func (h *head) progressOptions(what string, progress *bool, p **Passthru) {
	q, ok := h.openDict(what)
	for ok && h.more(&q) {
		switch name := h.key(&q); name {
		case optProgress:
			*progress = h.flag(name)
		default:
			h.passthru(name, p)
		}
	}
}

// stopOptions reads the options of a Cancel, or, where reason is not nil, of an Interrupt.
func (h *head) stopOptions(mode, reason *string) {
	q, ok := h.openDict(whatOptions)
	for ok && h.more(&q) {
		switch name := h.key(&q); {
		case name == optMode && reason != nil:
			*mode = h.oneOf(name, "kill", "killnowait")
		case name == optMode:
			*mode = h.oneOf(name, "skip", "kill", "killnowait")
		case name == optReason && reason != nil:
			*reason = h.textOption(name)
		default:
			h.skip()
		}
	}
}

func (h *head) registerOptions(o *RegisterOptions) {
	q, ok := h.openDict(whatOptions)
	for ok && h.more(&q) {
		switch name := h.key(&q); name {
		case optMatch:
			o.Match = h.match(name)
		case optInvoke:
			o.Invoke = h.oneOf(name, "single", "roundrobin", "random", "first", "last")
		case optConcurrency:
			o.Concurrency = int(h.number(name, math.MaxInt32))
		case optForceReregister:
			o.ForceReregister = h.flag(name)
		case optDiscloseCaller:
			o.DiscloseCaller = h.flag(name)
		default:
			h.skip()
		}
	}
}

// errorDetails reads details of which only those of payload passthru mode are known.
func (h *head) errorDetails(m *Error) {
	m.Details = Dict{}
	q, ok := h.openDict(whatDetails)
	for ok && h.more(&q) {
		name := h.key(&q)
		if isPassthru(name) {
			h.passthru(name, &m.Passthru)
		} else {
			m.Details[name] = h.any()
		}
	}
}
