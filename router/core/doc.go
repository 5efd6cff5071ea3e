// Package core is the broker and the dealer of one realm as a state machine: a message goes in, messages for sessions come out.
//
// It promises that nothing here waits, reads a clock or starts a goroutine; that a message is never changed once it was
// handed over, so that receivers may share it; that publishing costs by the length of the URI and the number of receivers,
// never by the number of subscriptions; that whoever asked for something gets exactly one answer, whoever leaves in
// between; that identity is what the router proved and never what a client says; and that nothing is kept of a session
// that has left but what it asked to be retained.
//
// A Realm is not safe for concurrent use: its owner serializes the calls.
//
// Source: the WAMP specification, basic and advanced profile.
package core
