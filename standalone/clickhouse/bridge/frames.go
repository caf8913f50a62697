package bridge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/go-faster/city"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// ClickHouse's own compression frames blocks of data: a CityHash128 checksum of
// what follows, the method, the compressed size with its own 9 bytes, the size
// of the data, then the compressed bytes. The sizes are little endian.
const (
	frameChecksumBytes = 16
	frameHeadBytes     = 9
	// maxFrameBytes bounds a frame, compressed and not. Clients frame a block
	// (clickhouse-go a whole batch), and a larger block than this is refused.
	maxFrameBytes = 256 << 20
	// outFrameBytes is the data per frame of a response; ClickHouse's is 1 MiB.
	outFrameBytes = 1 << 20

	methodNone = 0x02
	methodLZ4  = 0x82
	methodZSTD = 0x90
)

// frameReader decodes a sequence of frames.
type frameReader struct {
	source io.Reader
	data   []byte // decoded and not yet read
	packed bytes.Buffer
	zstd   *zstd.Decoder
}

func newFrameReader(source io.Reader) *frameReader { return &frameReader{source: source} }

// Read implements io.Reader.
func (r *frameReader) Read(p []byte) (int, error) {
	for len(r.data) == 0 {
		if err := r.nextFrame(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

// Close frees what the decoder holds.
func (r *frameReader) Close() {
	if r.zstd != nil {
		r.zstd.Close()
	}
}

func (r *frameReader) nextFrame() error {
	var head [frameChecksumBytes + frameHeadBytes]byte
	if _, err := io.ReadFull(r.source, head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		return exception(codeCannotDecompress, "Cannot read the head of a compressed frame: %v", err)
	}
	method := head[frameChecksumBytes]
	packedSize := int64(binary.LittleEndian.Uint32(head[17:])) - frameHeadBytes
	size := int64(binary.LittleEndian.Uint32(head[21:]))
	if packedSize < 0 || packedSize > maxFrameBytes || size > maxFrameBytes {
		return exception(codeCannotDecompress, "A compressed frame of %d bytes for %d bytes of data, the limit is %d", packedSize, size, maxFrameBytes)
	}
	// Memory is spent on bytes that have arrived, not on what the head claims.
	r.packed.Reset()
	r.packed.Write(head[frameChecksumBytes:])
	if n, err := io.CopyN(&r.packed, r.source, packedSize); err != nil {
		return exception(codeCannotDecompress, "A compressed frame ends after %d of %d bytes", n, packedSize)
	}
	sum := city.CH128(r.packed.Bytes())
	if binary.LittleEndian.Uint64(head[:]) != sum.Low || binary.LittleEndian.Uint64(head[8:]) != sum.High {
		return exception(codeChecksumMismatch, "The checksum of a compressed frame does not match")
	}
	data, err := r.unpack(method, r.packed.Bytes()[frameHeadBytes:], int(size))
	if err != nil {
		return err
	}
	if len(data) != int(size) {
		return exception(codeCannotDecompress, "A compressed frame holds %d bytes where its head says %d", len(data), size)
	}
	r.data = data
	return nil
}

func (r *frameReader) unpack(method byte, packed []byte, size int) ([]byte, error) {
	switch method {
	case methodNone:
		return bytes.Clone(packed), nil
	case methodLZ4:
		const mostPerByte = 255 // LZ4 cannot expand further
		if size > mostPerByte*(len(packed)+1) {
			return nil, exception(codeCannotDecompress, "A compressed frame of %d bytes cannot hold %d bytes", len(packed), size)
		}
		data := make([]byte, size)
		n, err := lz4.UncompressBlock(packed, data)
		if err != nil {
			return nil, exception(codeCannotDecompress, "Cannot decompress a frame: %v", err)
		}
		return data[:n], nil
	case methodZSTD:
		if r.zstd == nil {
			decoder, err := zstd.NewReader(nil,
				zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxFrameBytes))
			if err != nil {
				return nil, fmt.Errorf("start zstd: %w", err)
			}
			r.zstd = decoder
		}
		data, err := r.zstd.DecodeAll(packed, nil)
		if err != nil {
			return nil, exception(codeCannotDecompress, "Cannot decompress a frame: %v", err)
		}
		return data, nil
	default:
		return nil, exception(codeUnknownCompression, "Unknown compression method 0x%02x", method)
	}
}

// frameWriter encodes what is written to it as frames.
type frameWriter struct {
	target  io.Writer
	pending []byte
	packed  []byte
	lz4     lz4.Compressor
	zstd    *zstd.Encoder // nil for LZ4
}

// newFrameWriter takes ClickHouse's network_compression_method; LZ4, its
// default, stands in for the methods that are not spoken here.
func newFrameWriter(target io.Writer, method string) (*frameWriter, error) {
	w := &frameWriter{target: target}
	if method == "ZSTD" {
		encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			return nil, fmt.Errorf("start zstd: %w", err)
		}
		w.zstd = encoder
	}
	return w, nil
}

// Write implements io.Writer.
func (w *frameWriter) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		n := min(len(p), outFrameBytes-len(w.pending))
		w.pending = append(w.pending, p[:n]...)
		p = p[n:]
		if len(w.pending) == outFrameBytes {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

// Close writes what is pending.
func (w *frameWriter) Close() error { return w.flush() }

func (w *frameWriter) flush() error {
	if len(w.pending) == 0 {
		return nil
	}
	const headBytes = frameChecksumBytes + frameHeadBytes
	frame := w.packed[:0]
	frame = append(frame, make([]byte, headBytes)...)
	frame[frameChecksumBytes] = methodLZ4
	if w.zstd != nil {
		frame[frameChecksumBytes] = methodZSTD
		frame = w.zstd.EncodeAll(w.pending, frame)
	} else {
		frame = append(frame, make([]byte, lz4.CompressBlockBound(len(w.pending)))...)
		n, err := w.lz4.CompressBlock(w.pending, frame[headBytes:])
		if err != nil {
			return fmt.Errorf("compress %d bytes: %w", len(w.pending), err)
		}
		frame = frame[:headBytes+n]
	}
	binary.LittleEndian.PutUint32(frame[17:], uint32(len(frame)-frameChecksumBytes))
	binary.LittleEndian.PutUint32(frame[21:], uint32(len(w.pending)))
	sum := city.CH128(frame[frameChecksumBytes:])
	binary.LittleEndian.PutUint64(frame, sum.Low)
	binary.LittleEndian.PutUint64(frame[8:], sum.High)
	w.packed, w.pending = frame, w.pending[:0]
	_, err := w.target.Write(frame)
	return err
}
