package wire

// TerminalProtocol is the WebSocket sub-protocol of the terminal in the browser. Its binary messages are what is typed and
// what is shown, byte by byte; its text messages are each a TerminalMessage in JSON.
const TerminalProtocol = "bulkhead.terminal.1"

// TerminalPath is where the page of a terminal connects to. It shows the cookie of the login and, in its first message, the
// ticket that the page was given.
const TerminalPath = "/tunnel/terminal"

// What a TerminalMessage is.
const (
	TerminalOpen = "open" // the first from the browser, with ticket and size; and the answer, with user, time left and recorded
	TerminalSize = "size" // from the browser
	TerminalTook = "took" // so many bytes of the other side are through, and as many more may come
	TerminalEnd  = "end"  // the last to the browser, with reason, code and text
)

// TerminalAhead is how many bytes either side may send of which the other has not told that it took them; TerminalLargest
// is the largest binary message.
const (
	TerminalAhead   = 64 << 10
	TerminalLargest = 16 << 10
)

// TerminalMessage is one text message of the terminal in the browser.
type TerminalMessage struct {
	Type     string `json:"type"`
	Ticket   string `json:"ticket,omitempty"`
	Cols     int    `json:"cols,omitempty"`
	Rows     int    `json:"rows,omitempty"`
	Bytes    int    `json:"bytes,omitempty"`
	User     string `json:"user,omitempty"`
	Left     int64  `json:"left,omitempty"` // seconds
	Recorded bool   `json:"recorded,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Code     int    `json:"code,omitempty"` // exit code of the shell
	Text     string `json:"text,omitempty"` // the reason, for who reads it
}

// TerminalAskRequest asks a device how it would serve a shell that the gateway reads.
type TerminalAskRequest struct{}

// TerminalAskReply tells what the device's policy says of that now.
type TerminalAskReply struct {
	Refusal  string `json:"refusal,omitempty"` // why it would not
	User     string `json:"user,omitempty"`    // as whom the shell runs
	Recorded bool   `json:"recorded,omitempty"`
}

// TerminalAsk asks a device how it would serve a shell.
func TerminalAsk(project, device Key) Procedure[TerminalAskRequest, TerminalAskReply] {
	return Procedure[TerminalAskRequest, TerminalAskReply]{AgentFunction(project, device, "terminal_ask")}
}
