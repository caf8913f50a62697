package redactor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"syscall"

	"sluice/redactor/redact"
	"sluice/schemas"
)

// Filter reads raw events, one a line, and writes the clean ones to out in the
// same order. Nothing is stamped. For a line that would be quarantined it writes
// `{"line":N,"reason":"…"}` to refused instead, and counts it in the result.
//
// A last line needs no newline, a carriage return before it is white space that
// stays, a blank line is not JSON, and a line over schemas.MaxRawBytes is too
// large, however long it goes on: no more than that is held in memory. What is
// done is written out before more input is waited for.
func Filter(ctx context.Context, engine *redact.Engine, in io.Reader, out, refused io.Writer) (quarantined int, err error) {
	clean, bad := bufio.NewWriterSize(out, 64<<10), bufio.NewWriter(refused)
	flush := func() error { return errors.Join(clean.Flush(), bad.Flush()) }
	lines := newLineReader(&flushFirst{in, flush})
	var text []byte
	for n := 1; ctx.Err() == nil; n++ {
		line, reason, err := lines.next()
		if errors.Is(err, io.EOF) {
			return quarantined, quiet(flush())
		}
		if err != nil {
			return quarantined, quiet(errors.Join(err, flush()))
		}
		var result redact.Result
		if reason == "" {
			if result, err = engine.Redact(text[:0], line); err != nil {
				reason, _ = explainRejection(err, len(line))
			}
		}
		if reason != "" {
			quarantined++
			_, err = bad.WriteString(`{"line":` + strconv.Itoa(n) + `,"reason":"` + string(reason) + "\"}\n")
		} else {
			text = append(text[:0], result.Clean...)
			_, err = clean.Write(append(text, '\n'))
		}
		if err != nil {
			return quarantined, quiet(err)
		}
	}
	return quarantined, errors.Join(quiet(flush()), context.Cause(ctx))
}

// quiet makes an end of it that whoever reads has gone away: head(1) is no fault.
func quiet(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}

// flushFirst writes out what is done before it waits for more.
type flushFirst struct {
	io.Reader

	flush func() error
}

func (f *flushFirst) Read(p []byte) (int, error) {
	if err := f.flush(); err != nil {
		return 0, fmt.Errorf("write: %w", err)
	}
	return f.Reader.Read(p)
}

// lineReader reads lines of at most schemas.MaxRawBytes.
type lineReader struct{ r *bufio.Reader }

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{bufio.NewReaderSize(r, schemas.MaxRawBytes+len("\n"))}
}

// next returns the next line without its newline, valid until the next call, or
// the reason why it cannot be had. A line that is too long is read to its end,
// and forgotten.
func (l *lineReader) next() (line []byte, reason schemas.Reason, err error) {
	line, err = l.r.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		reason = schemas.ReasonTooLarge
		_, err = l.r.ReadSlice('\n')
	}
	switch {
	case errors.Is(err, io.EOF) && reason != "":
		return nil, reason, nil
	case err != nil && (!errors.Is(err, io.EOF) || len(line) == 0):
		return nil, "", err
	case reason == "":
		line = bytes.TrimSuffix(line, []byte("\n"))
	}
	if len(line) > schemas.MaxRawBytes {
		reason = schemas.ReasonTooLarge
	}
	return line, reason, nil
}
