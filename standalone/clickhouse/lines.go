package clickhouse

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
)

// maxLineBytes bounds a line of the child's output; what is longer is cut.
const maxLineBytes = 4096

// lineWriter hands on what is written to it line by line. One goroutine writes.
type lineWriter struct {
	line    func(string)
	pending []byte
}

// Write implements io.Writer.
func (w *lineWriter) Write(p []byte) (int, error) {
	written := len(p)
	for {
		end := bytes.IndexByte(p, '\n')
		rest := p
		if end >= 0 {
			rest = p[:end]
		}
		w.pending = append(w.pending, rest[:min(len(rest), maxLineBytes-len(w.pending))]...)
		if end < 0 {
			return written, nil
		}
		w.line(string(w.pending))
		w.pending, p = w.pending[:0], p[end+1:]
	}
}

// forwardRecord logs a line that is a record of slog's JSON handler as a record
// of this process. It reports false for any other line.
func forwardRecord(log *slog.Logger, line string) bool {
	var fields map[string]any
	if json.Unmarshal([]byte(line), &fields) != nil {
		return false
	}
	message, isText := fields[slog.MessageKey].(string)
	name, _ := fields[slog.LevelKey].(string)
	var level slog.Level
	if !isText || level.UnmarshalText([]byte(name)) != nil {
		return false
	}
	var attrs []slog.Attr
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		switch key {
		case slog.TimeKey, slog.LevelKey, slog.MessageKey:
		default:
			attrs = append(attrs, slog.Any(key, fields[key]))
		}
	}
	log.LogAttrs(context.Background(), level, message, attrs...) //nolint:sloglint // the constant is the child's
	return true
}
