package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"bulkhead/router/message"
)

// Opcodes of RFC 6455.
const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	maskBit  = 0x80
	final    = 0x80
)

// header is a frame's, of a client: masked, with the mask that changes nothing.
func (s *stranger) header(size int) []byte {
	op := byte(opText)
	if s.format.Binary() {
		op = opBinary
	}
	head := []byte{final | op}
	switch {
	case size < 126:
		head = append(head, maskBit|byte(size))
	case size < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, maskBit|126), uint16(size))
	default:
		head = binary.BigEndian.AppendUint64(append(head, maskBit|127), uint64(size)) //nolint:gosec // positive
	}
	return append(head, 0, 0, 0, 0)
}

// frame sends bytes as one message. A connection that the router has closed takes nothing, which may be right.
func (s *stranger) frame(data []byte) error {
	_, err := s.conn.Write(append(s.header(len(data)), data...))
	return err
}

// send sends messages, in one write.
func (s *stranger) send(messages ...message.Message) error {
	var out []byte
	for _, m := range messages {
		data, err := message.Append(nil, s.format, m)
		if err != nil {
			return err
		}
		out = append(append(out, s.header(len(data))...), data...)
	}
	_, err := s.conn.Write(out)
	return err
}

// next gives the next message; io.EOF after an orderly close.
func (s *stranger) next() (message.Message, error) {
	for {
		op, data, err := s.readFrame()
		switch {
		case err != nil:
			return nil, err
		case op == opClose:
			return nil, io.EOF
		case op < opClose:
			return message.Decode(s.format, data)
		}
	}
}

func (s *stranger) readFrame() (op byte, data []byte, err error) {
	var head [8]byte
	if _, err = io.ReadFull(s.in, head[:2]); err != nil {
		return 0, nil, err
	}
	op, size := head[0]&0x0f, uint64(head[1])
	switch size {
	case 126:
		_, err = io.ReadFull(s.in, head[:2])
		size = uint64(binary.BigEndian.Uint16(head[:2]))
	case 127:
		_, err = io.ReadFull(s.in, head[:])
		size = binary.BigEndian.Uint64(head[:])
	}
	if err != nil || size > 64<<20 {
		return 0, nil, errors.Join(err, fmt.Errorf("a frame of %d bytes", size))
	}
	data = make([]byte, size)
	_, err = io.ReadFull(s.in, data)
	return op, data, err
}
