package intake

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// readBytes is how much is read at once; a pipe gives no more on Linux.
const readBytes = 64 << 10

// Lines calls take for each line of in that is not blank, without its end, with the
// line's number. A line over the limit comes as tooLong, and without its bytes.
func Lines(in io.Reader, limit int, take func(number int, line []byte, tooLong bool) error) error {
	for lines := newLineReader(in, limit); ; {
		line, tooLong, err := lines.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("from line %d on: %w", lines.number+1, err)
		case !tooLong && len(bytes.TrimSpace(line)) == 0:
			continue
		}
		if err := take(lines.number, line, tooLong); err != nil {
			return err
		}
	}
}

// lineReader cuts a stream into lines without holding more than one, and no more
// of that than the limit.
type lineReader struct {
	in    *bufio.Reader
	limit int
	line  []byte
	// number counts the lines so far, bytes all that has been read of them, line
	// ends included.
	number int
	bytes  int64
}

func newLineReader(r io.Reader, limit int) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(r, readBytes), limit: limit}
}

// next returns the next line without its end, valid until the next call. A line
// over the limit comes as tooLong and its bytes are gone. The last line needs no
// end.
func (r *lineReader) next() (line []byte, tooLong bool, err error) {
	r.line = r.line[:0]
	for {
		part, err := r.in.ReadSlice('\n')
		r.bytes += int64(len(part))
		switch {
		case tooLong:
		case len(r.line)+len(part) > r.limit+len("\r\n"):
			tooLong, r.line = true, r.line[:0]
		default:
			r.line = append(r.line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == nil, errors.Is(err, io.EOF) && (tooLong || len(r.line) > 0):
			r.number++
			line, _ = bytes.CutSuffix(r.line, []byte("\n"))
			line, _ = bytes.CutSuffix(line, []byte("\r"))
			return line, tooLong, nil
		}
		return nil, false, err
	}
}
