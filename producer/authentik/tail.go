package authentik

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"sluice/producer/intake"
)

// tail reads one log, over all files that it has been and becomes.
type tail struct {
	path   string
	reader *reader
	emit   func(intake.Item) bool
	report func(format string, args ...any)

	segments []segment // still to be read, the first of them open
	file     io.ReadCloser
	info     fs.FileInfo
	first    []byte // how the open file begins; nil once its head is known
	place    Place
	split    splitter
	frames   assembler
	before   int64 // offset behind the last line
	unended  bool  // the line is the rest of a file to which more may be added
	idle     bool  // there was nothing to read
	sent     int64 // offset behind the last item
}

// readBytes is how much of a file is read at once.
const readBytes = 64 << 10

// turnBytes is how much is read of one log before it is the next one's turn.
const turnBytes = 4 << 20

// errDone ends reading: nobody listens any more.
var errDone = errors.New("nobody listens")

func (t *tail) begin(at Place) {
	var found bool
	if t.segments, found = plan(t.path, at); !found {
		t.report("%s: the file that was read last is gone; reading what is there from its beginning", t.path)
	}
}

// read reads on, and reports whether there was anything. Of the last file it finds
// the end again and again; following says that this is not the log's end.
func (t *tail) read(buf []byte, following bool) (some bool, err error) {
	for n := 0; n < turnBytes && len(t.segments) > 0; {
		if t.file == nil {
			err := t.open()
			if errors.Is(err, fs.ErrNotExist) && len(t.segments) > 1 {
				t.report("%s is gone before it was read", t.segments[0].name)
				t.segments = t.segments[1:]
				continue
			}
			if err != nil {
				return some, err
			}
		}
		got, err := t.file.Read(buf)
		if got > 0 {
			some, n = true, n+got
			if !t.take(buf[:got]) {
				return some, errDone
			}
		}
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return some, err
		case following && len(t.segments) == 1 && t.current():
			return some, nil
		default:
			if !t.finish(following) {
				return some, errDone
			}
		}
	}
	return some, nil
}

func (t *tail) open() error {
	next := t.segments[0]
	file, info, err := openAt(next)
	if err != nil {
		return err
	}
	t.file, t.info, t.place, t.first = file, info, next.place, nil
	if t.place.HeadBytes == 0 {
		t.first = make([]byte, 0, headBytes)
	}
	t.split = splitter{offset: next.place.Offset, number: next.place.Line}
	t.before, t.sent, t.unended = next.place.Offset, next.place.Offset, false
	return nil
}

// current tells whether the log still is the open file: not after it was renamed,
// or emptied and written anew.
func (t *tail) current() bool {
	info, err := os.Stat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return true // what comes next is not there yet
	}
	return err == nil && os.SameFile(info, t.info) && (t.place.HeadBytes == 0 || has(t.path, t.read512()))
}

// read512 is the place of what has been read, whatever has been settled of it.
func (t *tail) read512() Place {
	return Place{Head: t.place.Head, HeadBytes: t.place.HeadBytes, Offset: t.split.offset}
}

// finish ends the open file and goes on to the next. When a followed log is no
// longer this file, something may have been added to it since its end was read: it
// is looked for under its new name, and read on from the last whole line.
func (t *tail) finish(following bool) bool {
	last := len(t.segments) == 1
	if last && following {
		segments, found := plan(t.path, t.place)
		if found && t.place.HeadBytes > 0 {
			t.frames.torn()
			t.close(segments)
			return true
		}
		t.report("%s was replaced, and the old file is not beside it; going on with the new one", t.path)
	}
	t.unended = last && !following
	if !t.split.rest(t.line) {
		return false
	}
	for range t.frames.torn() {
		t.item(intake.Item{Skipped: SkipTorn})
	}
	if last && following {
		t.close([]segment{{name: t.path}})
	} else {
		t.close(t.segments[1:])
	}
	return true
}

func (t *tail) close(next []segment) {
	_ = t.file.Close()
	t.file, t.segments = nil, next
}

// take takes the next bytes of the open file.
func (t *tail) take(chunk []byte) bool {
	if t.first != nil {
		t.first = append(t.first, chunk[:min(len(chunk), headBytes-len(t.first))]...)
		t.place.Head, t.place.HeadBytes = headOf(t.first)
		if len(t.first) == headBytes {
			t.first = nil
		}
	}
	return t.split.feed(chunk, t.line)
}

func (t *tail) line(l line) bool {
	before := t.before
	t.before = l.end
	whole, ok := framed{tooLong: l.tooLong}, true
	if !l.tooLong {
		whole, ok = t.frames.add(l.text, before)
	}
	if !ok {
		return true // the first part of a line
	}
	it := intake.Item{Line: l.number, Bytes: l.end - t.sent}
	t.sent = l.end
	it.Message, it.Skipped, it.Refused = t.reader.read(whole)
	if !t.unended && t.frames.from(l.end) == l.end {
		t.place.Offset, t.place.Line = l.end, l.number
	}
	it.Position = position{key: t.path, place: t.place}
	return t.item(it)
}

func (t *tail) item(it intake.Item) bool {
	it.Input = t.path
	if len(t.segments) > 0 {
		it.Input = t.segments[0].name
	}
	if it.Skipped == SkipTorn || it.Skipped == SkipTooLong {
		t.report("%s:%d: skipped: %s", it.Input, max(it.Line, t.split.number), what[it.Skipped])
	}
	return t.emit(it)
}

// what says in words what was lost in a log.
var what = map[string]string{
	SkipTorn:    "an event's line that is not whole",
	SkipTooLong: "a line longer than 4 MiB",
}
