package wire

import "fmt"

// TunnelOpenRequest asks an agent to come to the gateway. The grant says all; the ticket lets the agent in there, once.
type TunnelOpenRequest struct {
	Grant  SignedGrant `json:"grant"`
	Ticket string      `json:"ticket"`
	// Hello is the first letter of the user's end to the device's, where the tunnel is encrypted from end to end; base64.
	Hello string `json:"hello,omitempty"`
}

// TunnelOpenReply tells that the device takes the grant and dials.
type TunnelOpenReply struct {
	// Key is the fingerprint of the key with which the device proves itself, end to end.
	Key string `json:"key"`
	// Answer is that to the hello; base64.
	Answer string `json:"answer,omitempty"`
	// MaxStreams and Rate are what the device's own policy leaves of the grant's.
	MaxStreams int   `json:"max_streams"`
	Rate       int64 `json:"rate"`
	// Recorded tells that what is shown is recorded and signed with that key.
	Recorded bool `json:"recorded,omitempty"`
}

// TunnelTerms is what both ends of a tunnel hold it to be: where it leads, and whether what is shown is recorded. They have
// it from a server that may lie, so the keys between them come from it too.
func TunnelTerms(target Target, recorded bool) string {
	return fmt.Sprintf("%s %s %d recorded %t", target.Protocol, target.Host, target.Port, recorded)
}

// MaxTunnelLetter is the most that a hello or an answer has.
const MaxTunnelLetter = 8 << 10

// TunnelExtendRequest carries a grant of the same tunnel that expires later.
type TunnelExtendRequest struct {
	Grant SignedGrant `json:"grant"`
}

// TunnelCloseRequest asks an agent to end a tunnel.
type TunnelCloseRequest struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// TunnelDone is the answer to what has nothing to tell.
type TunnelDone struct{}

// Names of the functions that an agent offers to the backend, and to nobody else.
const (
	FunctionTunnelOpen   = "tunnel_open"
	FunctionTunnelExtend = "tunnel_extend"
	FunctionTunnelClose  = "tunnel_close"
)

// TunnelOpen has a device come to the gateway.
func TunnelOpen(project, device Key) Procedure[TunnelOpenRequest, TunnelOpenReply] {
	return Procedure[TunnelOpenRequest, TunnelOpenReply]{AgentFunction(project, device, FunctionTunnelOpen)}
}

// TunnelExtend has a device keep a tunnel for longer.
func TunnelExtend(project, device Key) Procedure[TunnelExtendRequest, TunnelDone] {
	return Procedure[TunnelExtendRequest, TunnelDone]{AgentFunction(project, device, FunctionTunnelExtend)}
}

// TunnelClose has a device end a tunnel.
func TunnelClose(project, device Key) Procedure[TunnelCloseRequest, TunnelDone] {
	return Procedure[TunnelCloseRequest, TunnelDone]{AgentFunction(project, device, FunctionTunnelClose)}
}

// The ways into the gateway. Each end shows its ticket in the header Authorization, as a bearer's.
const (
	TunnelPathUser   = "/tunnel/user"
	TunnelPathDevice = "/tunnel/device"
	// TunnelPathOwn is what the gateway keeps for itself of the paths of a web application's host, and TunnelPathEnter is where
	// a browser comes in there.
	TunnelPathOwn   = "/.bulkhead/"
	TunnelPathEnter = TunnelPathOwn + "enter"
	// TunnelPathLogin is the page of the server where somebody proves that they may go there.
	TunnelPathLogin = "/tunnel/enter"
	// TunnelProtocol is the WebSocket sub-protocol of both.
	TunnelProtocol = "bulkhead.tunnel.2"
)
