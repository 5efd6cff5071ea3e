package message

import (
	"maps"
	"slices"
)

// options writes a dictionary whose entries are mostly absent.
type options struct {
	w    *writer
	mark int
	n    int
}

func (w *writer) options() options { return options{w: w, mark: w.open(true)} }

func (o *options) end() { o.w.close(o.mark, true, o.n) }

func (o *options) key(key string) {
	o.w.key(key)
	o.n++
}

// flag writes key: true where v is true.
func (o *options) flag(key string, v bool) {
	if v {
		o.key(key)
		o.w.bool(true)
	}
}

func (o *options) text(key, v string) {
	if v != "" {
		o.key(key)
		o.w.text(v)
	}
}

func (o *options) number(key string, v uint64) {
	if v != 0 {
		o.key(key)
		o.w.uint(v)
	}
}

// positive writes a number whose absence means what zero and less would mean.
func (o *options) positive(key string, v int64) { o.number(key, uint64(max(v, 0))) }

func (o *options) ids(key string, ids []ID) {
	if ids == nil {
		return
	}
	o.key(key)
	mark := o.w.open(false)
	for _, id := range ids {
		o.w.id(id)
	}
	o.w.close(mark, false, len(ids))
}

func (o *options) texts(key string, texts []string) {
	if texts == nil {
		return
	}
	o.key(key)
	mark := o.w.open(false)
	for _, text := range texts {
		o.w.text(text)
	}
	o.w.close(mark, false, len(texts))
}

func (o *options) passthru(p *Passthru) {
	if p == nil {
		return
	}
	o.text(optPPTScheme, p.Scheme)
	o.text(optPPTSerializer, p.Serializer)
	o.text(optPPTCipher, p.Cipher)
	o.text(optPPTKeyID, p.KeyID)
	o.text(optEncAlgo, p.EncAlgo)
	o.text(optEncSerializer, p.EncSerializer)
	o.text(optEncKey, p.EncKey)
}

// entries writes those of a dictionary, in the order of its keys.
func (o *options) entries(dict Dict) {
	if len(dict) == 0 {
		return
	}
	for _, k := range slices.Sorted(maps.Keys(dict)) {
		o.key(k)
		o.w.any(dict[k])
	}
}

func (w *writer) publishOptions(p *PublishOptions) {
	o := w.options()
	o.flag(optAcknowledge, p.Acknowledge)
	if p.KeepMe {
		o.key(optExcludeMe)
		w.bool(false)
	}
	o.flag(optDiscloseMe, p.DiscloseMe)
	o.flag(optRetain, p.Retain)
	o.ids(optExclude, p.Exclude)
	o.texts(optExcludeAuthID, p.ExcludeAuthID)
	o.texts(optExcludeAuthRole, p.ExcludeAuthRole)
	o.ids(optEligible, p.Eligible)
	o.texts(optEligibleAuthID, p.EligibleAuthID)
	o.texts(optEligibleAuthRole, p.EligibleAuthRole)
	if p.EligibleOther {
		o.texts(optEligibleOther, []string{})
	}
	o.passthru(p.Passthru)
	o.end()
}

// welcomeDetails writes what is always said without a Dict: each join has one.
func (w *writer) welcomeDetails(m *Welcome) {
	o, a := w.options(), &m.Admission
	o.text(optAuthID, a.AuthID)
	o.text(optAuthMethod, a.AuthMethod)
	o.text(optAuthProvider, a.AuthProvider)
	o.text(optAuthRole, a.AuthRole)
	o.text(optRealm, a.Realm)
	if a.Roles != nil {
		o.key(optRoles)
		w.any(a.Roles)
	}
	o.entries(m.Details)
	o.end()
}

func (w *writer) subscribeOptions(s *SubscribeOptions) {
	o := w.options()
	o.text(optMatch, s.Match)
	o.flag(optGetRetained, s.GetRetained)
	o.end()
}

func (w *writer) eventDetails(d *EventDetails) {
	o := w.options()
	o.text(optTopic, d.Topic)
	o.number(optPublisher, uint64(d.Publisher.Session))
	o.text(optPublisherAuthID, d.Publisher.AuthID)
	o.text(optPublisherAuthRole, d.Publisher.AuthRole)
	o.flag(optRetained, d.Retained)
	o.number(optDropped, d.Dropped)
	o.passthru(d.Passthru)
	o.end()
}

func (w *writer) callOptions(c *CallOptions) {
	o := w.options()
	o.flag(optReceiveProgress, c.ReceiveProgress)
	o.flag(optProgress, c.Progress)
	o.positive(optTimeout, c.TimeoutMs)
	o.flag(optDiscloseMe, c.DiscloseMe)
	o.passthru(c.Passthru)
	o.end()
}

func (w *writer) invocationDetails(d *InvocationDetails) {
	o := w.options()
	o.text(optProcedure, d.Procedure)
	o.number(optCaller, uint64(d.Caller.Session))
	o.text(optCallerAuthID, d.Caller.AuthID)
	o.text(optCallerAuthRole, d.Caller.AuthRole)
	o.flag(optReceiveProgress, d.ReceiveProgress)
	o.flag(optProgress, d.Progress)
	o.positive(optTimeout, d.TimeoutMs)
	o.passthru(d.Passthru)
	o.end()
}

// progressOptions are the options of a Yield and the details of a Result.
func (w *writer) progressOptions(progress bool, p *Passthru) {
	o := w.options()
	o.flag(optProgress, progress)
	o.passthru(p)
	o.end()
}

// stopOptions are the options of a Cancel and of an Interrupt.
func (w *writer) stopOptions(mode, reason string) {
	o := w.options()
	o.text(optMode, mode)
	o.text(optReason, reason)
	o.end()
}

func (w *writer) registerOptions(r *RegisterOptions) {
	o := w.options()
	o.text(optMatch, r.Match)
	o.text(optInvoke, r.Invoke)
	o.positive(optConcurrency, int64(r.Concurrency))
	o.flag(optForceReregister, r.ForceReregister)
	o.flag(optDiscloseCaller, r.DiscloseCaller)
	o.end()
}

// withdrawn appends what follows the code of an Unsubscribed or Unregistered: details only for a revocation.
func (w *writer) withdrawn(request ID, key string, id ID, reason string) int {
	w.id(request)
	if request != 0 {
		return 1
	}
	o := w.options()
	o.number(key, uint64(id))
	o.text(optReason, reason)
	o.end()
	return 2
}

func (w *writer) errorDetails(details Dict, p *Passthru) {
	if p == nil {
		w.dict(details)
		return
	}
	merged := maps.Clone(details)
	if merged == nil {
		merged = make(Dict)
	}
	for _, name := range passthruNames {
		delete(merged, name)
		if v := *p.field(name); v != "" {
			merged[name] = v
		}
	}
	w.dict(merged)
}
