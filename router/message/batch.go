package message

import (
	"bytes"
	"encoding/binary"
)

// recordEnd ends each message of a JSON batch. It cannot occur inside one: control characters are escaped in JSON.
const recordEnd = 0x1E

// lengthPrefix is the size of the big-endian length before each message of a MessagePack or CBOR batch.
const lengthPrefix = 4

// Split takes the first message off a batch. Call it until rest is empty; a batch of no messages is an error, too.
// Frame and rest are parts of batch.
func Split(f Format, batch []byte) (frame, rest []byte, err error) {
	if f == JSON {
		frame, rest, ok := bytes.Cut(batch, []byte{recordEnd})
		if !ok {
			return nil, nil, &ProtocolError{Reason: "batch: a message is not terminated"}
		}
		return frame, rest, nil
	}
	if len(batch) < lengthPrefix {
		return nil, nil, &ProtocolError{Reason: "batch: a length is missing"}
	}
	size := uint64(binary.BigEndian.Uint32(batch))
	batch = batch[lengthPrefix:]
	if size > uint64(len(batch)) {
		return nil, nil, &ProtocolError{Reason: "batch: a message is shorter than its length says"}
	}
	return batch[:size], batch[size:], nil
}

// AppendBatched appends m to a batch. On an error dst comes back as it was.
func AppendBatched(dst []byte, f Format, m Message) ([]byte, error) {
	start := len(dst)
	if f != JSON {
		dst = append(dst, 0, 0, 0, 0)
	}
	out, err := Append(dst, f, m)
	if err != nil {
		return dst[:start], err
	}
	return closeRecord(out, start, f)
}

func closeRecord(batch []byte, start int, f Format) ([]byte, error) {
	if f == JSON {
		return append(batch, recordEnd), nil
	}
	size := len(batch) - start - lengthPrefix
	if uint64(size) > 1<<32-1 {
		return batch[:start], errTooLong
	}
	binary.BigEndian.PutUint32(batch[start:], uint32(size))
	return batch, nil
}
