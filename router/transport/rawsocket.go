package transport

// The types of a rawsocket frame.
const (
	rawMessage = 0
	rawPing    = 1
	rawPong    = 2
)

// rawHeader appends the header of a rawsocket frame: its type and its length in 24 bits.
func rawHeader(b []byte, kind byte, n int) []byte {
	return append(b, kind, byte(n>>16), byte(n>>8), byte(n))
}

// ping is a frame that the peer answers.
func (c codec) ping() []byte {
	if c.framing == rawSocket {
		return rawHeader(nil, rawPing, 0)
	}
	return wsHeader(nil, opPing, 0)
}
