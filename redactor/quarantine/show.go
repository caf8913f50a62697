package quarantine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"sluice/redactor/redact"
)

// Show writes one event for a person to read: where it came from and why it is
// here, its headers, and the event, all masked. Of an event that cannot be read,
// and so not be masked either, only the size and the place of the defect.
func (s *Store) Show(ctx context.Context, seq uint64, w io.Writer) error {
	msg, err := s.get(ctx, seq)
	if err != nil {
		return err
	}
	e := entry(seq, msg.Subject, msg.Time, msg.Header, len(msg.Data))
	fmt.Fprintf(w, "seq        %d\nstored at  %s\ntenant     %s\nreason     %s\ndetail     %s\nsubject    %q\nbytes      %d\n",
		e.Sequence, e.StoredAt.UTC().Format("2006-01-02T15:04:05.000000Z"), e.Tenant, e.Reason, e.Detail, e.Subject, e.Bytes)
	if err := showHeaders(w, s.engine, original(msg.Header)); err != nil {
		return err
	}
	engine := s.engine.For(e.Tenant)
	shown, err := engine.RedactJSON(nil, msg.Data)
	if err != nil {
		fmt.Fprintf(w, "\nThe event cannot be shown masked: %v\n", err)
		return nil
	}
	if _, err := fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(string(shown.Clean))); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// showHeaders masks the headers as the members of an object.
func showHeaders(w io.Writer, engine *redact.Engine, headers nats.Header) error {
	if len(headers) == 0 {
		return nil
	}
	text, err := json.Marshal(headers)
	if err != nil {
		return errors.New("the headers are not text")
	}
	masked, err := engine.RedactJSON(nil, text)
	if err != nil {
		return fmt.Errorf("mask the headers: %w", err)
	}
	shown := map[string][]string{}
	if err := json.Unmarshal(masked.Clean, &shown); err != nil {
		return errors.New("the headers cannot be masked")
	}
	for _, name := range slices.Sorted(maps.Keys(shown)) {
		for _, value := range shown[name] {
			fmt.Fprintf(w, "header     %q: %q\n", name, value)
		}
	}
	return nil
}
