package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// suite tells what comes through of ends, resets, nothing and single bytes.
func suite(ctx context.Context, b *bench) (measure, error) {
	m := measure{Title: "What comes through", Head: []string{"", "reply after the asker's end", "reset", "no byte at all", "one byte"}}
	sc, err := b.stage(ctx, nil)
	if err != nil {
		return m, err
	}
	defer sc.close()
	tests := []func(*subject, *target) bool{halfClose, reset, noByte, oneByte}
	for _, s := range sc.subjects {
		row, passed := []string{s.name}, 0.0
		for _, test := range tests {
			failed := 0
			for range 11 {
				if !test(s, sc.target) {
					failed++
				}
			}
			switch failed {
			case 0:
				row, passed = append(row, "yes"), passed+1
			default:
				row = append(row, fmt.Sprintf("lost %d of 11", failed))
			}
		}
		m.Rows = append(m.Rows, row)
		if s.own {
			m.Checks = append(m.Checks, check{What: s.name, Value: passed, Least: float64(len(tests)), Unit: "of " + fmt.Sprint(len(tests))})
		}
	}
	return m, nil
}

func deadline(c net.Conn) { _ = c.SetDeadline(time.Now().Add(5 * time.Second)) }

// read reads to the end and gives nothing where the end does not come.
func read(c net.Conn) (string, bool) {
	var text strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := c.Read(buffer)
		text.Write(buffer[:n])
		if err != nil {
			return text.String(), err.Error() == "EOF"
		}
	}
}

func halfClose(s *subject, _ *target) bool {
	c, err := s.ask(sink)
	if err != nil {
		return false
	}
	defer c.Close()
	deadline(c)
	_, _ = c.Write(make([]byte, 300<<10))
	_ = c.CloseWrite()
	reply, ended := read(c)
	return ended && reply == string([]byte{0, 0, 0, 0, 0, 0x4, 0xb0, 0})
}

// reset wants the other end to learn that the connection is gone.
func reset(s *subject, t *target) bool {
	c, err := s.ask(source)
	if err != nil {
		return false
	}
	_, _ = c.Read(make([]byte, 1))
	_ = c.SetLinger(0)
	_ = c.Close()
	return await(context.Background(), "", func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return len(t.open) == 0
	}) == nil
}

func noByte(s *subject, _ *target) bool {
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		return false
	}
	defer c.Close()
	deadline(c)
	_ = c.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // it was dialled as TCP
	text, ended := read(c)
	return ended && text == ""
}

func oneByte(s *subject, _ *target) bool {
	c, err := s.ask(echoes)
	if err != nil {
		return false
	}
	defer c.Close()
	times, err := keys(c, 5, 0, 0)
	return err == nil && slices.Max(times) < time.Second
}
