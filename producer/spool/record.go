package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"sluice/producer"
	"sluice/schemas"
)

// A record is a header of eight bytes, the length of what follows and its
// CRC-32C, both little-endian; then the tenant, the traceparent, each after a
// byte with its length, and the event.
const headerBytes = 8

// maxRecordBytes is more than a record can have: an event, a tenant of 64 and a
// traceparent of 55.
const maxRecordBytes = schemas.MaxRawBytes + 256

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errBroken is a record that is not as it was written.
var errBroken = errors.New("a broken record")

func appendRecord(dst []byte, m producer.Message) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, headerBytes)...)
	dst = append(append(dst, byte(len(m.Tenant()))), m.Tenant()...)
	dst = append(append(dst, byte(len(m.TraceParent()))), m.TraceParent()...)
	dst = append(dst, m.JSON()...)
	payload := dst[start+headerBytes:]
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(dst[start+4:], crc32.Checksum(payload, castagnoli))
	return dst
}

// readRecord returns the next payload, which is valid until the buffer is used
// again. The error is io.EOF at the end, and errBroken or io.ErrUnexpectedEOF for
// a record that is not whole.
func readRecord(in io.Reader, buffer []byte) ([]byte, error) {
	var header [headerBytes]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return nil, err
	}
	size := int(binary.LittleEndian.Uint32(header[:]))
	if size < 2 || size > maxRecordBytes {
		return nil, errBroken
	}
	if cap(buffer) < size {
		buffer = make([]byte, size)
	}
	payload := buffer[:size]
	if _, err := io.ReadFull(in, payload); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(header[4:]) {
		return nil, errBroken
	}
	return payload, nil
}

// message makes the message of a payload again; its bytes are copied.
func message(payload []byte) (producer.Message, error) {
	tenant, rest, ok := field(payload)
	trace, event, ok2 := field(rest)
	if !ok || !ok2 {
		return producer.Message{}, errBroken
	}
	encoder, err := producer.NewEncoder(string(tenant))
	if err != nil {
		return producer.Message{}, fmt.Errorf("%w: %w", errBroken, err)
	}
	m, err := encoder.JSON(event)
	return m.WithTraceParent(string(trace)), err
}

// field cuts off a text that stands after its length.
func field(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return nil, nil, false
	}
	return b[1 : 1+int(b[0])], b[1+int(b[0]):], true
}
