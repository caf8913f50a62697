package door

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// memory is the bytes of bodies that may be held at a time.
type memory struct {
	used atomic.Int64
	most int64
}

// take reports whether there is room for n more bytes, and takes it.
func (m *memory) take(n int64) bool {
	if m.used.Add(n) > m.most {
		m.used.Add(-n)
		return false
	}
	return true
}

// body is what a request has sent.
type body struct {
	text []byte
	free func()
}

// blockBytes is how much memory is taken at a time: little, so that whoever sends
// slowly holds little.
const blockBytes = 32 << 10

// readBody reads the body, decompressed, or says why not. It holds no more than
// has come and no more than the limits; the caller frees it.
func (s *server) readBody(w http.ResponseWriter, r *http.Request) (*body, *problem) {
	if r.ContentLength > int64(s.cfg.MaxBodyBytes) {
		return nil, s.tooLarge()
	}
	open, p := decompressor(w.Header(), r.Header.Get("Content-Encoding"))
	if p != nil {
		return nil, p
	}
	sent, p := s.collect(r.Body)
	if p != nil || open == nil {
		return sent, p
	}
	// It is all there, so that nobody who sends slowly holds a place or a window.
	defer sent.free()
	select {
	case s.decompressing <- struct{}{}:
		defer func() { <-s.decompressing }()
	case <-r.Context().Done():
		return nil, s.unreadable(r.Context().Err())
	}
	in, err := open(bytes.NewReader(sent.text), s.cfg.MaxBodyBytes)
	if err != nil {
		return nil, s.unreadable(err)
	}
	defer in.Close()
	// A bomb comes out block by block and is stopped at the limit.
	return s.collect(in)
}

// collect reads to the end, or to the limit of a body.
func (s *server) collect(in io.Reader) (*body, *problem) {
	b, taken := &body{}, int64(0)
	b.free = func() { s.memory.used.Add(-taken); taken = 0 }
	for {
		if len(b.text) == cap(b.text) {
			size := min(max(2*cap(b.text), blockBytes), s.cfg.MaxBodyBytes+1)
			if !s.memory.take(int64(size)) { // the old and the new block are both there for a moment
				b.free()
				return nil, newProblem(http.StatusServiceUnavailable, "too much is being sent at the moment").
					about("busy", "").after(awayRetry).closing()
			}
			larger := append(make([]byte, 0, size), b.text...)
			s.memory.used.Add(-taken)
			b.text, taken = larger, int64(size)
		}
		n, err := in.Read(b.text[len(b.text):cap(b.text)])
		b.text = b.text[:len(b.text)+n]
		switch {
		case len(b.text) > s.cfg.MaxBodyBytes:
			b.free()
			return nil, s.tooLarge()
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			b.free()
			return nil, s.unreadable(err)
		}
	}
}

func (s *server) tooLarge() *problem {
	detail := fmt.Sprintf("the body is larger than %d bytes (PRODUCER_MAX_BODY_BYTES)", s.cfg.MaxBodyBytes)
	return newProblem(http.StatusRequestEntityTooLarge, detail).about("body_too_large", "").closing()
}

// unreadable says why a body ended early.
func (s *server) unreadable(err error) *problem {
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return s.tooLarge()
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrWindowSizeTooSmall):
		return newProblem(http.StatusRequestEntityTooLarge, "the zstd frame asks for a window of more than 8 MiB").about("body_too_large", "").closing()
	case errors.Is(err, os.ErrDeadlineExceeded):
		detail := fmt.Sprintf("the body did not come within %s (PRODUCER_READ_TIMEOUT)", s.cfg.ReadTimeout)
		return newProblem(http.StatusRequestTimeout, detail).closing()
	case isNetwork(err):
		return newProblem(http.StatusBadRequest, "the body ended early").about("truncated", "").closing()
	}
	return newProblem(http.StatusBadRequest, "the body is not what Content-Encoding says, or ended early").about("truncated", "").closing()
}

func isNetwork(err error) bool {
	var network net.Error
	return errors.As(err, &network)
}

// decompressor returns what opens a body of that encoding, nil if it is none.
func decompressor(answer http.Header, encoding string) (open func(in io.Reader, most int) (io.ReadCloser, error), p *problem) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return nil, nil
	case "gzip", "x-gzip":
		return func(in io.Reader, _ int) (io.ReadCloser, error) { return gzip.NewReader(in) }, nil
	case "zstd":
		return openZstd, nil
	}
	answer.Set("Accept-Encoding", "gzip, zstd")
	return nil, newProblem(http.StatusUnsupportedMediaType, "Content-Encoding: want gzip or zstd, or none").about("content_encoding", "").closing()
}

// zstdWindow is the largest window of a zstd frame: the most that RFC 8878 asks a
// decoder to support.
const zstdWindow = 8 << 20

func openZstd(in io.Reader, most int) (io.ReadCloser, error) {
	z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderMaxMemory(uint64(most)))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}
