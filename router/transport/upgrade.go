package transport

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // RFC 6455 wants it; it keeps no secret
	"encoding/base64"
	"slices"

	"bulkhead/router/message"
)

// upgrade is a request for a WebSocket that holds nothing unusual.
type upgrade struct {
	codec codec
	key   []byte // part of the request, as is
	host  []byte
}

// maxUpgrade is how large such a request may be in bytes.
const maxUpgrade = 4 << 10

var endOfHead = []byte("\r\n\r\n")

// parseUpgrade understands the requests that clients of WAMP send: to one of the paths, with each header that matters once,
// with no body and nothing behind it. It does not judge the others: what it does not understand goes to net/http, which does.
// So a request is read in one way only, and it is refused in one place only.
func parseUpgrade(head []byte, paths, origins []string) (u upgrade, ok bool) {
	line, rest, _ := bytes.Cut(head, crlf)
	if !requestFor(line, paths) || !bytes.HasSuffix(rest, endOfHead) && !bytes.Equal(rest, crlf) {
		return u, false
	}
	var seen headers
	for len(rest) > len(crlf) {
		if line, rest, ok = bytes.Cut(rest, crlf); !ok || !u.header(&seen, line, origins) {
			return u, false
		}
	}
	return u, seen|hasOrigin == all|hasOrigin
}

var crlf = []byte("\r\n")

func requestFor(line []byte, paths []string) bool {
	path, ok := bytes.CutPrefix(line, []byte("GET "))
	if !ok {
		return false
	}
	path, ok = bytes.CutSuffix(path, []byte(" HTTP/1.1"))
	return ok && slices.Contains(paths, string(path))
}

// headers are those that were seen of the ones that must be there.
type headers uint8

const (
	hasHost headers = 1 << iota
	hasUpgrade
	hasConnection
	hasVersion
	hasKey
	hasProtocol
	hasOrigin
	all = hasHost | hasUpgrade | hasConnection | hasVersion | hasKey | hasProtocol
	// none is of headers that are let pass, as often as they like.
	none headers = 0
)

// header takes one line. It refuses headers that say how the message goes on, and those that it does not understand.
func (u *upgrade) header(seen *headers, line []byte, origins []string) bool {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || !isToken(name) {
		return false
	}
	value = bytes.Trim(value, " \t")
	if !isVisible(value) {
		return false
	}
	which, ok := u.judge(lower(name), value, origins)
	if !ok || *seen&which != 0 {
		return false
	}
	*seen |= which
	return true
}

func (u *upgrade) judge(name string, value []byte, origins []string) (headers, bool) {
	switch name {
	case "host":
		u.host = value
		return hasHost, isHost(value)
	case "upgrade":
		return hasUpgrade, bytes.EqualFold(value, []byte("websocket"))
	case "connection":
		return hasConnection, bytes.EqualFold(value, []byte("upgrade")) || bytes.EqualFold(value, []byte("keep-alive, upgrade"))
	case "sec-websocket-version":
		return hasVersion, string(value) == "13"
	case "sec-websocket-key":
		u.key = value
		return hasKey, isKey(value)
	case "sec-websocket-protocol":
		u.codec, _ = offered(value)
		return hasProtocol, u.codec.format != 0
	case "origin":
		return hasOrigin, slices.Contains(origins, string(value))
	case "content-length", "transfer-encoding", "trailer", "te", "expect":
		return none, false
	default:
		return none, true
	}
}

// offered takes the first sub-protocol of a list that we speak.
func offered(list []byte) (c codec, ok bool) {
	for name := range bytes.SplitSeq(list, []byte(",")) {
		if f, batched, ok := message.ParseSubprotocol(string(bytes.Trim(name, " \t"))); ok {
			return codec{f, webSocketFraming(batched)}, true
		}
	}
	return codec{}, false
}

// isKey wants 16 bytes in base64.
func isKey(value []byte) bool {
	var b [18]byte
	n, err := base64.StdEncoding.Decode(b[:], value[:min(len(value), 24)])
	return err == nil && n == 16 && len(value) == 24
}

func isToken(name []byte) bool {
	for _, c := range name {
		if !isAlphanumeric(c) && c != '-' && c != '_' {
			return false
		}
	}
	return len(name) > 0
}

func isHost(value []byte) bool {
	for _, c := range value {
		if !isAlphanumeric(c) && bytes.IndexByte([]byte(".-:[]"), c) < 0 {
			return false
		}
	}
	return len(value) > 0
}

func isVisible(value []byte) bool {
	return !slices.ContainsFunc(value, func(c byte) bool { return c < ' ' && c != '\t' || c >= 0x7f })
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// lower gives a header's name in lower case, for the longest name that judge knows.
func lower(name []byte) string {
	var b [len("sec-websocket-protocol")]byte
	if len(name) > len(b) {
		return ""
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		b[i] = c
	}
	return string(b[:len(name)])
}

// appendAccepted appends the response that makes the connection a WebSocket.
func (u *upgrade) appendAccepted(b []byte) []byte {
	const magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	var space [24 + len(magic)]byte
	sum := sha1.Sum(append(append(space[:0], u.key...), magic...)) //nolint:gosec // as above
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	b = base64.StdEncoding.AppendEncode(b, sum[:])
	b = append(b, "\r\nSec-WebSocket-Protocol: "...)
	b = append(b, u.codec.name()...)
	return append(b, endOfHead...)
}
