package redactor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"sluice/redactor/redact"
	"sluice/schemas"
)

// Explain writes for each event what would be masked in it and by which rule, or
// why it would be quarantined; never a value. The input is one event, laid out in
// any way, or one event a line. It counts the events that would be quarantined.
func Explain(ctx context.Context, in io.Reader, out io.Writer) (quarantined int, err error) {
	engine, err := redact.New(redact.Config{})
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriter(out)
	flush := func() error { return quiet(w.Flush()) }
	buffered := bufio.NewReaderSize(in, schemas.MaxRawBytes+1)
	whole, err := buffered.Peek(schemas.MaxRawBytes + 1)
	if errors.Is(err, io.EOF) { // all of it is there, so it can be one event
		if bytes.Count(bytes.TrimSpace(whole), []byte("\n")) > 0 {
			if _, err := engine.RedactJSON(nil, whole); err == nil {
				return explainEvent(engine, w, "event", whole), flush()
			}
		}
	}
	lines := newLineReader(buffered)
	for n := 1; ctx.Err() == nil; n++ {
		line, reason, err := lines.next()
		if errors.Is(err, io.EOF) {
			return quarantined, flush()
		}
		if err != nil {
			return quarantined, errors.Join(fmt.Errorf("read line %d: %w", n, err), flush())
		}
		name := fmt.Sprintf("line %d", n)
		if reason != "" {
			quarantined++
			fmt.Fprintf(w, "%s: refused: %s\n", name, reason)
			continue
		}
		quarantined += explainEvent(engine, w, name, line)
	}
	return quarantined, errors.Join(flush(), context.Cause(ctx))
}

// explainEvent writes about one event, and returns 1 if it would be quarantined.
func explainEvent(engine *redact.Engine, w io.Writer, name string, event []byte) int {
	result, err := engine.Redact(nil, event)
	if err != nil {
		reason, detail := explainRejection(err, len(event))
		fmt.Fprintf(w, "%s: refused: %s: %s\n", name, reason, detail)
		return 1
	}
	if len(result.Counts) == 0 {
		fmt.Fprintf(w, "%s: nothing to mask\n", name)
		return 0
	}
	total := 0
	for _, c := range result.Counts {
		total += c.Masked
	}
	fmt.Fprintf(w, "%s: %d masked\n", name, total)
	for _, m := range result.Masked {
		fmt.Fprintf(w, "  %q %s\n", m.Pointer, m.Rule) // quoted: a name may hold anything, a terminal's controls too
	}
	if result.Truncated {
		fmt.Fprintln(w, "  and more")
	}
	return 0
}
