package standalone

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"sluice/producer/generate"
	"sluice/schemas"
)

// screen writes for a person: in colour and cut to the width on a terminal,
// plain otherwise.
type screen struct {
	w      io.Writer
	width  int
	colour bool
}

// plainWidth is the width of what is not a terminal.
const plainWidth = 140

func newScreen(file *os.File) *screen {
	s := &screen{w: file, width: plainWidth}
	if fd := int(file.Fd()); term.IsTerminal(fd) {
		s.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		if width, _, err := term.GetSize(fd); err == nil && width > 40 {
			s.width = width
		}
	}
	return s
}

// colours of the first word of a line, as terminal codes.
var colours = map[string]string{"published": "31", "redacted": "32", "ALERT": "33;1", "stored": "36"}

// line writes one happening: what, the action, and the text, cut to the width.
func (s *screen) line(what, action, text string) {
	label := fmt.Sprintf("%-10s", what)
	if code := colours[what]; s.colour && code != "" {
		label = "\x1b[" + code + "m" + label + "\x1b[0m"
	}
	fmt.Fprintf(s.w, "  %s %-22s %s\n", label, action, cut(text, s.width-37))
}

func (s *screen) heading(text string) {
	if s.colour {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	fmt.Fprintf(s.w, "\n%s\n", text)
}

func (s *screen) opening(at endpoints, events int) {
	s.heading("Sluice is running.")
	s.addresses(at)
	s.heading(fmt.Sprintf("The demo publishes %d events of all 24 actions. Some of them carry secrets:", events))
}

func (s *screen) addresses(at endpoints) {
	fmt.Fprintf(s.w, "  publish to   %s\n  query        %s\n  health       http://%s/readyz\n", at.NATS, at.ClickHouse, at.HTTP)
}

func (s *screen) summary(events, alerts int) {
	s.line("stored", "", fmt.Sprintf("all %d events, each once; %d alerts were sent", events, alerts))
}

func (s *screen) table(counts []actionCount) {
	s.heading("What ClickHouse holds now, by action:")
	fmt.Fprintf(s.w, "  %-28s %8s %14s\n", "action", "events", "with secrets")
	var events, masked uint64
	for _, c := range counts {
		fmt.Fprintf(s.w, "  %-28s %8d %14d\n", c.Action, c.Count, c.Masked)
		events, masked = events+c.Count, masked+c.Masked
	}
	fmt.Fprintf(s.w, "  %-28s %8d %14d\n", "together", events, masked)
}

// next prints the three commands. They work as printed in another terminal, in
// the folder of the repository.
func (s *screen) next(at endpoints) {
	s.heading("Try next, in another terminal:")
	env := ""
	if at.NATS != defaultNATS {
		env = "NATS_URL=" + at.NATS + " "
	}
	fmt.Fprintf(s.w, "  publish your own     echo '{\"context\":{\"password\":\"hunter2\"}}' | %sbin/producer publish -action login\n", env)
	if strings.HasPrefix(at.ClickHouse, "http") {
		address, _, _ := strings.Cut(at.ClickHouse, "?")
		fmt.Fprintf(s.w, "  query                curl '%s/?query=SELECT+created,username,action,redacted+FROM+sluice.events+ORDER+BY+created+DESC+LIMIT+5'\n", strings.TrimRight(address, "/"))
	} else {
		fmt.Fprintf(s.w, "  query                clickhouse client --query 'SELECT created, username, action, redacted FROM sluice.events ORDER BY created DESC LIMIT 5'\n")
	}
	fmt.Fprintf(s.w, "  subscribe to alerts  %sbin/notifier watch\n", env)
	fmt.Fprintf(s.w, "\nSluice keeps running; Ctrl-C stops it. What it stored is there at the next start.\n")
}

const defaultNATS = "nats://127.0.0.1:4222"

func printReady(out *os.File, at endpoints) error {
	s := newScreen(out)
	s.heading("Sluice is running.")
	s.addresses(at)
	s.next(at)
	return nil
}

// excerpt is the part of an event around its secret.
type excerpt struct {
	raw        string
	start, end int // end counts from behind the secret
	at, length int
}

// excerptBefore and excerptAfter are how many bytes around a secret are shown.
const excerptBefore, excerptAfter = 44, 28

// excerptOf cuts the part around the first secret out of a generated event.
func excerptOf(ev generate.Event) (excerpt, bool) {
	at := -1
	var secret string
	for _, s := range ev.Secrets { // the first in the text
		if i := bytes.Index(ev.JSON, []byte(s.Encoded)); i >= 0 && (at < 0 || i < at) {
			at, secret = i, s.Encoded
		}
	}
	if at < 0 {
		return excerpt{}, false
	}
	e := excerpt{start: max(0, at-excerptBefore), at: at, length: len(secret), end: excerptAfter}
	e.raw = window(ev.JSON, e.start, at+len(secret)+e.end)
	return e, true
}

// of cuts the same part out of the clean event, where the mask stands in place
// of the secret: up to there the bytes are the same.
func (e excerpt) of(clean []byte) string {
	return window(clean, e.start, e.at+len(schemas.Mask)+e.end)
}

func window(text []byte, start, end int) string {
	start, end = min(start, len(text)), min(end, len(text))
	for start > 0 && start < len(text) && !utf8.RuneStart(text[start]) {
		start--
	}
	for end < len(text) && !utf8.RuneStart(text[end]) {
		end++
	}
	return "…" + string(text[start:end]) + "…"
}

// cut shortens text to the width, on one line and without anything that a
// terminal would obey.
func cut(text string, width int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	runes := []rune(text)
	if width = max(width, 20); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}
