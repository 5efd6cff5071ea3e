package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// helper is another process of this program. It answers each order with one line.
type helper struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	orders  *json.Encoder
	answers *json.Decoder
}

// startHelper starts a process of a role with a priority; see nice.
func startHelper(role string, nice int) (*helper, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	h := &helper{cmd: exec.Command(self, role)}
	h.cmd.Stderr = os.Stderr
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	h.orders, h.answers = json.NewEncoder(h.in), json.NewDecoder(out)
	return h, startNice(h.cmd, nice)
}

func (h *helper) stop() {
	_ = h.in.Close()
	_ = h.cmd.Wait()
}

func tell[Out any](h *helper, order any) (out Out, err error) {
	if err := h.orders.Encode(order); err != nil {
		return out, err
	}
	if err := h.answers.Decode(&out); err != nil {
		return out, fmt.Errorf("a process of this measurement has ended: %w", err)
	}
	return out, nil
}

// helpers are the processes that a measurement has for all of its rounds.
type helpers struct {
	prober, flooder, bare *helper
	raised                bool // the probe's priority could be raised
}

// The priorities of the helpers.
const (
	givesWay  = 19
	goesFirst = -10
)

func startHelpers() (h helpers, err error) {
	defer func() {
		if err != nil {
			h.stop()
		}
	}()
	if h.prober, err = startHelper(asProbe, goesFirst); err == nil {
		h.raised = true
	} else if h.prober, err = startHelper(asProbe, 0); err != nil {
		return h, err
	}
	if h.flooder, err = startHelper(asFlood, givesWay); err != nil {
		return h, err
	}
	h.bare, err = startHelper(asBare, 0)
	return h, err
}

func (h helpers) stop() {
	for _, one := range []*helper{h.prober, h.flooder, h.bare} {
		if one != nil && one.cmd.Process != nil {
			one.stop()
		}
	}
}
