package producer

import (
	"context"
	"strings"
)

type traceKey struct{}

// ContextWithTraceParent returns a context whose events carry that W3C
// traceparent through every stage, for whoever has the header of a request and no
// tracing library. What is no traceparent is left out.
func ContextWithTraceParent(ctx context.Context, parent string) context.Context {
	if !validTraceParent(parent) {
		return ctx
	}
	return context.WithValue(ctx, traceKey{}, parent)
}

// traceParent returns the traceparent of ctx, "" if it has none.
func (p *Producer) traceParent(ctx context.Context) string {
	if p.cfg.TraceParent == nil {
		parent, _ := ctx.Value(traceKey{}).(string)
		return parent
	}
	if parent := p.cfg.TraceParent(ctx); validTraceParent(parent) {
		return parent
	}
	return ""
}

// WithTraceParent returns the message with a trace of its own, which comes before
// that of the context it is published with. What is no traceparent is left out.
func (m Message) WithTraceParent(parent string) Message {
	m.trace = ""
	if validTraceParent(parent) {
		m.trace = parent
	}
	return m
}

// TraceParent returns the message's own trace, "" if it has none.
func (m Message) TraceParent() string { return m.trace }

// validTraceParent keeps out of a header what is no W3C traceparent of version 0:
// 00-<32 hex digits>-<16>-<2>.
func validTraceParent(s string) bool {
	parts := strings.Split(s, "-")
	if len(s) != 55 || len(parts) != 4 || parts[0] != "00" || len(parts[1]) != 32 || len(parts[2]) != 16 {
		return false
	}
	return strings.Trim(s, "0123456789abcdef-") == ""
}
