package tunnel

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// roleVariable has the test program be something else: a target, or somebody who connects with one, in a process of its own.
const roleVariable = "BULKHEAD_TEST_ROLE"

// playRole is the program as what it is told to be: "echo", "source" or "dial ADDRESS".
func playRole(role string) int {
	name, address, _ := strings.Cut(role, " ")
	err := fmt.Errorf("no role %q", role)
	switch name {
	case "echo":
		err = playTarget(func(c net.Conn) { _, _ = io.Copy(c, c) })
	case "source":
		err = playTarget(pour)
	case "dial":
		err = playDial(address)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// pour sends without end.
func pour(c net.Conn) {
	for _, err := c.Write(make([]byte, 64<<10)); err == nil; _, err = c.Write(make([]byte, 64<<10)) {
	}
}

// playTarget says where it listens and serves who comes.
func playTarget(serve func(net.Conn)) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() { // ends with the program at the latest
			serve(c)
			_ = c.Close()
		}()
	}
}

// playDial connects standard input and output with an address.
func playDial(address string) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	go func() { // ends with the program at the latest
		_, _ = io.Copy(c, os.Stdin)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, c)
	return err
}

// line reads a line that a program says.
func line(t *testing.T, out io.Reader) string {
	t.Helper()
	text, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text)
}

// within has a command run on a host of its own, which is a network namespace.
func within(c *exec.Cmd, host string) {
	if host == "" {
		return
	}
	c.Args = append([]string{"ip", "netns", "exec", host, c.Path}, c.Args[1:]...)
	if ip, err := exec.LookPath("ip"); err == nil {
		c.Path, c.Err = ip, nil
	}
}
