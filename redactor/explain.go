package redactor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"sluice/redactor/redact"
	"sluice/schemas"
)

// Explanation says how Explain is to answer.
type Explanation struct {
	// Tenant is whose rules are used, "" for those of all.
	Tenant string
	// JSON asks for one JSON object a line instead of text.
	JSON bool
}

// Explain writes for each event what would be masked in it and by which rule, or
// why it would be quarantined; never a value. The input is one event, laid out in
// any way, or one event a line, each explained as soon as it is there. It counts
// the events that would be quarantined.
func Explain(ctx context.Context, engine *redact.Engine, how Explanation, in io.Reader, out io.Writer) (quarantined int, err error) {
	w := bufio.NewWriter(out)
	e := &explainer{engine: engine.For(how.Tenant), json: how.JSON, w: w, meanings: map[string]string{}}
	for _, rule := range engine.Rules() {
		e.meanings[rule.Name] = rule.Meaning
	}
	first, rest, err := firstText(e.engine, in)
	if err != nil {
		return 0, fmt.Errorf("read line 1: %w", err)
	}
	if rest == nil {
		e.event("event", 0, first)
		return e.quarantined, quiet(w.Flush())
	}
	lines := newLineReader(&flushFirst{rest, w.Flush})
	for n := 1; ctx.Err() == nil; n++ {
		line, reason, err := lines.next()
		if errors.Is(err, io.EOF) {
			return e.quarantined, quiet(w.Flush())
		}
		if err != nil {
			return e.quarantined, errors.Join(fmt.Errorf("read line %d: %w", n, err), quiet(w.Flush()))
		}
		name := fmt.Sprintf("line %d", n)
		if reason != "" {
			e.refused(name, n, reason, "")
			continue
		}
		e.event(name, n, line)
	}
	return e.quarantined, errors.Join(quiet(w.Flush()), context.Cause(ctx))
}

// firstText tells one event over several lines from events on a line each: it
// returns the one with no rest, or a reader of all the lines. A first line that is
// JSON by itself decides at once, so that somebody who types one is answered.
func firstText(engine *redact.Engine, in io.Reader) (whole []byte, lines io.Reader, err error) {
	buffered := bufio.NewReaderSize(in, schemas.MaxRawBytes+1)
	line, err := buffered.ReadSlice('\n')
	read := bytes.Clone(line)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, nil, err
	}
	if err == nil && len(bytes.TrimSpace(read)) > 0 {
		if _, invalid := engine.RedactJSON(nil, read); invalid != nil {
			more, err := io.ReadAll(io.LimitReader(buffered, schemas.MaxRawBytes))
			if err != nil {
				return nil, nil, err
			}
			read = append(read, more...)
			if _, invalid := engine.RedactJSON(nil, read); invalid == nil {
				return read, nil, nil
			}
		}
	}
	return nil, io.MultiReader(bytes.NewReader(read), buffered), nil
}

// explainer writes about events.
type explainer struct {
	engine      *redact.Engine
	json        bool
	w           io.Writer
	meanings    map[string]string
	quarantined int
}

// explained is an event's explanation as JSON.
type explained struct {
	Line      int          `json:"line,omitempty"`
	Masked    []maskedHere `json:"masked,omitempty"`
	Truncated bool         `json:"truncated,omitempty"`
	Reason    string       `json:"reason,omitempty"`
	Detail    string       `json:"detail,omitempty"`
}

type maskedHere struct {
	Pointer string `json:"pointer"`
	Rule    string `json:"rule"`
	Meaning string `json:"meaning"`
}

func (e *explainer) event(name string, line int, event []byte) {
	result, err := e.engine.Redact(nil, event)
	if err != nil {
		reason, detail := explainRejection(err, len(event))
		e.refused(name, line, reason, detail)
		return
	}
	if e.json {
		answer := explained{Line: line, Truncated: result.Truncated}
		for _, m := range result.Masked {
			answer.Masked = append(answer.Masked, maskedHere{m.Pointer, m.Rule, e.meanings[m.Rule]})
		}
		e.answer(answer)
		return
	}
	if len(result.Counts) == 0 {
		fmt.Fprintf(e.w, "%s: nothing to mask\n", name)
		return
	}
	total := 0
	for _, c := range result.Counts {
		total += c.Masked
	}
	fmt.Fprintf(e.w, "%s: %d masked\n", name, total)
	for _, m := range result.Masked {
		// Quoted: a name may hold anything, a terminal's controls too.
		fmt.Fprintf(e.w, "  %q %s: %s\n", m.Pointer, m.Rule, e.meanings[m.Rule])
	}
	if result.Truncated {
		fmt.Fprintln(e.w, "  and more")
	}
}

func (e *explainer) refused(name string, line int, reason schemas.Reason, detail string) {
	e.quarantined++
	switch {
	case e.json:
		e.answer(explained{Line: line, Reason: string(reason), Detail: detail})
	case detail == "":
		fmt.Fprintf(e.w, "%s: refused: %s\n", name, reason)
	default:
		fmt.Fprintf(e.w, "%s: refused: %s: %s\n", name, reason, detail)
	}
}

func (e *explainer) answer(answer explained) {
	line, err := json.Marshal(answer)
	if err != nil {
		panic(err) // of texts and numbers: it cannot
	}
	fmt.Fprintf(e.w, "%s\n", line)
}
