package authentik

import "bytes"

// splitter cuts what is read of one file, in chunks as they come, into lines. It
// holds no more than one line, and of that no more than MaxLineBytes.
type splitter struct {
	line    []byte
	tooLong bool
	offset  int64 // of what comes next
	number  int   // lines so far
}

// line is one line without its end; of one that is too long the bytes are gone.
type line struct {
	text    []byte
	tooLong bool
	number  int
	end     int64 // offset behind its end
}

// feed passes on each line that the chunk ends, valid until take returns, and
// stops when take says so.
func (s *splitter) feed(chunk []byte, take func(line) bool) bool {
	for len(chunk) > 0 {
		end := bytes.IndexByte(chunk, '\n')
		if end < 0 {
			s.add(chunk)
			return true
		}
		s.add(chunk[:end])
		s.offset++
		if !s.pass(take) {
			return false
		}
		chunk = chunk[end+1:]
	}
	return true
}

// rest passes on the last line, if the input ended without ending it.
func (s *splitter) rest(take func(line) bool) bool {
	if len(s.line) == 0 && !s.tooLong {
		return true
	}
	return s.pass(take)
}

func (s *splitter) add(part []byte) {
	s.offset += int64(len(part))
	switch {
	case s.tooLong:
	case len(s.line)+len(part) > MaxLineBytes:
		s.tooLong, s.line = true, nil
	default:
		s.line = append(s.line, part...)
	}
}

// keepBytes is how much memory stays with a file between its lines.
const keepBytes = 64 << 10

func (s *splitter) pass(take func(line) bool) bool {
	s.number++
	text, _ := bytes.CutSuffix(s.line, []byte("\r"))
	ok := take(line{text: text, tooLong: s.tooLong, number: s.number, end: s.offset})
	s.tooLong, s.line = false, s.line[:0]
	if cap(s.line) > keepBytes {
		s.line = nil
	}
	return ok
}
