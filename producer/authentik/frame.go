package authentik

import (
	"bytes"
	"encoding/json"
	"time"
)

// assembler takes the frames of container runtimes off the lines of one file, and
// puts together what they cut up: containerd and CRI-O at some 16 KiB, marking the
// parts P and the last one F, and Docker's json-file likewise, with a line end only
// in the last part. Output and errors of a container take turns, each with parts of
// its own.
type assembler struct {
	streams map[string]*partial
}

// partial is the beginning of a line.
type partial struct {
	text    []byte
	tooLong bool
	from    int64
}

// framed is one line as the container wrote it.
type framed struct {
	text    []byte
	tooLong bool
	at      time.Time // when the runtime received it; zero if it does not say
}

// add returns the line that is whole now, if one is; before is the offset at which
// this line of the file began.
func (a *assembler) add(text []byte, before int64) (whole framed, ok bool) {
	stream, part, at, last, isFrame := unframe(text)
	if !isFrame {
		return framed{text: text}, true
	}
	held := a.streams[stream]
	if held == nil && last {
		return framed{text: part, at: at}, true
	}
	if held == nil {
		if a.streams == nil {
			a.streams = map[string]*partial{}
		}
		held = &partial{from: before}
		a.streams[stream] = held
	}
	if held.tooLong = held.tooLong || len(held.text)+len(part) > MaxLineBytes; held.tooLong {
		held.text = nil
	} else {
		held.text = append(held.text, part...)
	}
	if !last {
		return framed{}, false
	}
	delete(a.streams, stream)
	return framed{text: held.text, tooLong: held.tooLong, at: at}, true
}

// from is the offset from which a later run has to read, when everything before
// end has been: no line that is not yet whole may be lost.
func (a *assembler) from(end int64) int64 {
	for _, held := range a.streams {
		end = min(end, held.from)
	}
	return end
}

// torn ends the file: it returns how many lines were never finished, and forgets
// them.
func (a *assembler) torn() int {
	n := len(a.streams)
	clear(a.streams)
	return n
}

// unframe takes one line of a runtime's log apart. last tells that the container's
// line ends with it.
func unframe(text []byte) (stream string, part []byte, at time.Time, last, ok bool) {
	if bytes.HasPrefix(text, []byte(`{"log":"`)) {
		return unframeDocker(text)
	}
	return unframeCRI(text)
}

// unframeCRI reads "2026-08-30T19:25:26.527644123Z stderr F text": time, stream,
// tags with a colon between, text.
func unframeCRI(text []byte) (stream string, part []byte, at time.Time, last, ok bool) {
	stamp, rest, found := bytes.Cut(text, []byte(" "))
	if !found || len(stamp) < len("2006-01-02T15:04:05Z") || len(stamp) > len(time.RFC3339Nano) || stamp[0] < '0' || stamp[0] > '9' {
		return "", nil, at, false, false
	}
	name, rest, found := bytes.Cut(rest, []byte(" "))
	if stream = string(name); !found || stream != "stdout" && stream != "stderr" {
		return "", nil, at, false, false
	}
	tags, part, _ := bytes.Cut(rest, []byte(" "))
	tag, _, _ := bytes.Cut(tags, []byte(":"))
	if len(tag) != 1 || tag[0] != 'P' && tag[0] != 'F' {
		return "", nil, at, false, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	return stream, part, at, tag[0] == 'F', err == nil
}

// unframeDocker reads {"log":"text\n","stream":"stderr","time":"…"}.
func unframeDocker(text []byte) (stream string, part []byte, at time.Time, last, ok bool) {
	var frame struct {
		Log    string    `json:"log"`
		Stream string    `json:"stream"`
		Time   time.Time `json:"time"`
	}
	if json.Unmarshal(text, &frame) != nil || frame.Stream != "stdout" && frame.Stream != "stderr" {
		return "", nil, at, false, false
	}
	part, last = bytes.CutSuffix([]byte(frame.Log), []byte("\n"))
	return frame.Stream, bytes.TrimSuffix(part, []byte("\r")), frame.Time, last, true
}

// plain takes the colours away that compose and terminals put in: escape sequences
// of the form ESC [ … letter. JSON cannot hold the character itself.
func plain(text []byte) []byte {
	if bytes.IndexByte(text, 0x1b) < 0 {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != 0x1b {
			out = append(out, text[i])
			continue
		}
		if i+1 < len(text) && text[i+1] == '[' {
			for i += 2; i < len(text) && (text[i] < '@' || text[i] > '~'); i++ { //nolint:revive // up to the sequence's last byte
			}
		}
	}
	return out
}
