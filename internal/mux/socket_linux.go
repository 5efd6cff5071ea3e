package mux

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	tcpNotSentLowat = 25
	tcpUserTimeout  = 18
	unsent          = 64 << 10
	unacknowledged  = 30_000 // milliseconds
	// looking is how many packets BBR has under way while it looks how long the way is.
	looking = 4
)

// tuneSocket keeps what a user types from waiting behind what the kernel would buffer, and has the kernel notice a peer
// that is gone. Where it cannot, tunnels work all the same.
func tuneSocket(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, unsent) //nolint:gosec // a descriptor is small
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, unacknowledged)
	})
}

// tune does the same to the socket of a connection that somebody else has accepted.
func tune(socket syscall.RawConn) {
	if socket != nil {
		_ = tuneSocket("", "", socket)
	}
}

// cork has the kernel keep what does not fill a packet, for 200 ms at most, or send what it has kept.
func cork(socket syscall.RawConn, on bool) {
	value := 0
	if on {
		value = 1
	}
	_ = socket.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, value) //nolint:gosec // a descriptor is small
	})
}

// begin has the kernel's BBR begin its model of the line anew, so that it does not look how long the way is: ten seconds after it
// was last as short, BBR lets four packets be under way for 200 ms, whoever types waits behind all that it holds, and what it
// then lets go at once is more than lines have room for. A session looks for itself, at little cost, and bounds what is under
// way. A model that begins takes the shortest trip of the last minutes for the way's, and keeps what may be under way. So this
// is not done where the way, which takes as long as trip, has become longer; nor while BBR looks, because what may be under way
// would stay at so little; nor while a loss is mended.
func begin(socket syscall.RawConn, trip time.Duration) {
	if socket == nil || trip == 0 {
		return
	}
	_ = socket.Control(func(fd uintptr) {
		name, err := unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		if err != nil || name != "bbr" {
			return
		}
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || info.Snd_cwnd <= looking || info.Ca_state != 0 || trip > time.Duration(info.Min_rtt)*time.Microsecond*3/2 {
			return
		}
		for _, name := range []string{"reno", "bbr"} { // every process may choose reno
			_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
		}
	})
}
