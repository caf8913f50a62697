package notifier

import (
	"slices"
	"strings"

	"sluice/schemas/jsontoken"
)

// exception is what an event's context tells about an exception.
type exception struct {
	// kind is the exception's type, value what it says; both may be "".
	kind, value string
	// frames are the calls that led to it, the innermost last.
	frames []frame
	// text is an exception that came as text of no form that is understood.
	text string
}

type frame struct {
	file, function string
	// foreign tells that the frame is not of the application's own code.
	foreign bool
}

// The bounds of what is read of an exception.
const (
	// maxFieldBytes is for a type, a file or a function.
	maxFieldBytes = 512
	// maxValueBytes is for what the exception says.
	maxValueBytes = 8 << 10
	// maxTraceBytes is for a traceback that came as text: the innermost part.
	maxTraceBytes = 256 << 10
	// maxFrames is how many of the innermost frames are kept: a few of the
	// application's own must be among them.
	maxFrames = 64
)

// readException reads the exception at index i of the tape: text, the list of
// exceptions that structlog writes (the one raised last stands first, its causes
// behind it), or one such object. Anything else is none.
func readException(t *jsontoken.Tape, i int) exception {
	switch t.Tokens[i].Kind {
	case jsontoken.String:
		return parseTraceback(textTail(t, i, maxTraceBytes))
	case jsontoken.Array:
		for k := i + 1; k < int(t.Tokens[i].Next); k = int(t.Tokens[k].Next) {
			if t.Tokens[k].Kind == jsontoken.Object {
				return readExceptionObject(t, k)
			}
		}
	case jsontoken.Object:
		return readExceptionObject(t, i)
	default: // a number or a literal says nothing
	}
	return exception{}
}

func readExceptionObject(t *jsontoken.Tape, i int) exception {
	e := exception{
		kind:  memberText(t, i, maxFieldBytes, "exc_type", "type"),
		value: memberText(t, i, maxValueBytes, "exc_value", "value", "message"),
	}
	frames, ok := member(t, i, "frames", "stack")
	if !ok || t.Tokens[frames].Kind != jsontoken.Array {
		return e
	}
	for k := frames + 1; k < int(t.Tokens[frames].Next); k = int(t.Tokens[k].Next) {
		if t.Tokens[k].Kind == jsontoken.Object {
			e.addFrame(readFrame(t, k))
		}
	}
	return e
}

func readFrame(t *jsontoken.Tape, i int) frame {
	f := frame{
		file:     memberText(t, i, maxFieldBytes, "filename", "file"),
		function: memberText(t, i, maxFieldBytes, "name", "function"),
	}
	f.foreign = foreignFile(f.file)
	if own, ok := t.Member(i, "in_app"); ok {
		f.foreign = t.Tokens[own].Kind == jsontoken.False
	}
	return f
}

func (e *exception) addFrame(f frame) {
	if f.file == "" && f.function == "" {
		return
	}
	if len(e.frames) == 2*maxFrames {
		e.frames = slices.Delete(e.frames, 0, maxFrames)
	}
	e.frames = append(e.frames, f)
}

// ownFrames returns the innermost frames of the application's own code, or of
// any code if there is none.
func (e *exception) ownFrames(count int) []frame {
	own := make([]frame, 0, len(e.frames))
	for _, f := range e.frames {
		if !f.foreign {
			own = append(own, f)
		}
	}
	if len(own) == 0 {
		own = e.frames
	}
	return own[max(0, len(own)-count):]
}

// foreignFile tells by its path a file of a library or the language itself.
func foreignFile(file string) bool {
	if strings.HasPrefix(file, "<frozen ") {
		return true
	}
	file = strings.ReplaceAll(file, `\`, "/")
	return slices.ContainsFunc([]string{
		"/site-packages/", "/dist-packages/", "/lib/python", "/lib64/python", "/node_modules/", "/go/pkg/mod/", "/go/src/", "/vendor/", "/gems/",
	}, func(part string) bool { return strings.Contains(file, part) })
}

// parseTraceback reads the traceback that Python prints. Of a chain of them the
// last counts: the exception that nobody caught.
func parseTraceback(text string) exception {
	var e exception
	found := false // the line with type and value of the current traceback
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		trimmed := strings.TrimLeft(line, " \t|")
		switch {
		case strings.HasPrefix(trimmed, "Traceback (most recent call last):"):
			e, found = exception{}, false
		case found:
		case strings.HasPrefix(trimmed, `File "`) && len(trimmed) < len(line):
			if f, ok := parseFrame(trimmed); ok {
				e.addFrame(f)
			}
		case len(e.frames) > 0 && len(trimmed) == len(line) && line != "":
			kind, value, _ := strings.Cut(line, ": ")
			e.kind, e.value = cutBytes(strings.TrimSuffix(kind, ":"), maxFieldBytes), cutBytes(value, maxValueBytes)
			found = true
		}
	}
	if len(e.frames) == 0 {
		return exception{text: text}
	}
	return e
}

// parseFrame reads `File "name", line 12, in function`.
func parseFrame(line string) (frame, bool) {
	file, rest, ok := strings.Cut(strings.TrimPrefix(line, `File "`), `"`)
	if !ok {
		return frame{}, false
	}
	_, function, _ := strings.Cut(rest, ", in ")
	return frame{
		file: cutBytes(file, maxFieldBytes), function: cutBytes(function, maxFieldBytes),
		foreign: foreignFile(file),
	}, true
}
