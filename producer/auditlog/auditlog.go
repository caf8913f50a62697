// Package auditlog turns log records into audit events: a service that logs with
// log/slog publishes an event with the logger that it has.
//
// Records of one group become events and are not logged, since events may hold
// secrets and logs must not; all other records go on as they are. It promises
// that an event which could not be published is told of in the log, by its id.
package auditlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"sluice/producer"
	"sluice/schemas"
)

// Publisher is a producer.Producer or a spool.Spool.
type Publisher interface {
	Publish(ctx context.Context, ev schemas.Event) (producer.Ack, error)
}

// Config says which records become events. The zero value is usable.
type Config struct {
	// Group is the group whose records become events; "" is DefaultGroup.
	Group string
	// Timeout is how long a record waits for the publisher; 0 is DefaultTimeout. A
	// spool answers from its own disk.
	Timeout time.Duration
}

const (
	// DefaultGroup is "audit".
	DefaultGroup = "audit"
	// DefaultTimeout is five seconds: a request that is logged should not wait longer.
	DefaultTimeout = 5 * time.Second
)

// Handler is a slog.Handler, see New.
type Handler struct {
	publisher Publisher
	next      slog.Handler
	cfg       Config
	// attrs are of the event, once the group is open.
	attrs  []slog.Attr
	groups []string // open ones within the group
	depth  int      // groups of other records
	inside bool
}

// New returns a handler that publishes the records of the group audit and hands
// all others to next. A record is of the group either by WithGroup,
//
//	audit := logger.WithGroup("audit")
//	audit.Info("login_failed", "username", name)
//
// or by an attribute,
//
//	logger.Info("login failed", slog.Group("audit", "action", "login_failed", "username", name))
//
// in which case the record goes on to next without it. Within the group action,
// app, user (a group with username, pk, email), client_ip, pk and brand are the
// event's fields, and everything else its context. Without an action the message
// is it, and otherwise stands in the context as message. The record's time is the
// event's.
func New(p Publisher, next slog.Handler, cfg Config) *Handler {
	if cfg.Group == "" {
		cfg.Group = DefaultGroup
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	return &Handler{publisher: p, next: next, cfg: cfg}
}

// Enabled implements slog.Handler. Any level of the group is published.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.inside || h.next.Enabled(ctx, level)
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	c := *h
	switch {
	case name == "":
		return h
	case h.inside:
		c.groups = append(slices.Clip(h.groups), name)
	case name == h.cfg.Group && h.depth == 0:
		c.inside = true
	default:
		c.depth++
		c.next = h.next.WithGroup(name)
	}
	return &c
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	if h.inside {
		c.attrs = append(slices.Clip(h.attrs), nest(h.groups, attrs)...)
	} else {
		c.next = h.next.WithAttrs(attrs)
	}
	return &c
}

// nest puts attributes into groups.
func nest(groups []string, attrs []slog.Attr) []slog.Attr {
	for _, name := range slices.Backward(groups) {
		attrs = []slog.Attr{{Key: name, Value: slog.GroupValue(attrs...)}}
	}
	return attrs
}

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	var attrs []slog.Attr
	r.Attrs(func(a slog.Attr) bool { attrs = append(attrs, a); return true })
	if h.inside {
		return h.publish(ctx, r, append(slices.Clip(h.attrs), nest(h.groups, attrs)...))
	}
	var events [][]slog.Attr
	rest := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	for _, a := range attrs {
		if value := a.Value.Resolve(); h.depth == 0 && a.Key == h.cfg.Group && value.Kind() == slog.KindGroup {
			events = append(events, value.Group())
			continue
		}
		rest.AddAttrs(a)
	}
	var errs []error
	for _, event := range events {
		errs = append(errs, h.publish(ctx, r, event))
	}
	if h.next.Enabled(ctx, r.Level) {
		errs = append(errs, h.next.Handle(ctx, rest))
	}
	return errors.Join(errs...)
}

// publish publishes one event, or tells that it could not.
func (h *Handler) publish(ctx context.Context, r slog.Record, attrs []slog.Attr) error {
	ev, err := event(r, attrs)
	ack := producer.Ack{PK: ev.PK}
	if err == nil {
		// A request that ends early is still an event.
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.cfg.Timeout)
		defer cancel()
		ack, err = h.publisher.Publish(patience, ev)
	}
	if err == nil {
		return nil
	}
	lost := slog.NewRecord(time.Now(), slog.LevelError, "audit event not published", r.PC)
	lost.AddAttrs(slog.String("event_id", ack.PK.String()), slog.Any("error", err))
	if e := h.next.Handle(ctx, lost); e != nil {
		err = errors.Join(err, e)
	}
	return err
}

// event makes an event of a record's attributes.
func event(r slog.Record, attrs []slog.Attr) (schemas.Event, error) {
	members := object(attrs)
	ev := schemas.Event{Created: r.Time}
	text := func(name string) string {
		switch value := members[name].(type) {
		case string:
			delete(members, name)
			return value
		case fmt.Stringer: // netip.Addr, uuid.UUID
			delete(members, name)
			return value.String()
		}
		return ""
	}
	ev.Action, ev.App = text("action"), text("app")
	switch {
	case ev.Action == "" && schemas.ValidAction(r.Message):
		ev.Action = r.Message
	case r.Message != "":
		if _, there := members["message"]; !there {
			members["message"] = r.Message
		}
	}
	var err error
	if pk := text("pk"); pk != "" {
		if ev.PK, err = uuid.Parse(pk); err != nil {
			return ev, errors.New("pk: not a UUID")
		}
	}
	if addr := text("client_ip"); addr != "" {
		if ev.ClientIP, err = netip.ParseAddr(addr); err != nil {
			return ev, errors.New("client_ip: not an IPv4 or IPv6 address")
		}
		ev.ClientIP = ev.ClientIP.Unmap().WithZone("")
	}
	for name, field := range map[string]*json.RawMessage{"user": &ev.User, "brand": &ev.Brand} {
		if value, there := members[name].(map[string]any); there {
			delete(members, name)
			if *field, err = json.Marshal(value); err != nil {
				return ev, fmt.Errorf("%s: no JSON", name)
			}
		}
	}
	if ev.Context, err = json.Marshal(members); err != nil {
		return ev, errors.New("context: an attribute is no JSON")
	}
	return ev, nil
}

// object makes a JSON object of attributes; groups are objects within.
func object(attrs []slog.Attr) map[string]any {
	out := map[string]any{}
	for _, a := range attrs {
		value := a.Value.Resolve()
		switch {
		case a.Key == "" && value.Kind() != slog.KindGroup:
		case value.Kind() != slog.KindGroup:
			out[a.Key] = plain(value)
		case a.Key == "":
			merge(out, object(value.Group()))
		case len(value.Group()) > 0:
			inner, _ := out[a.Key].(map[string]any) // the same group may be open twice
			if inner == nil {
				inner = map[string]any{}
			}
			merge(inner, object(value.Group()))
			out[a.Key] = inner
		}
	}
	return out
}

// merge adds what is in src, groups into groups of the same name.
func merge(dst, src map[string]any) {
	for name, value := range src {
		into, both := dst[name].(map[string]any)
		if from, ok := value.(map[string]any); ok && both {
			merge(into, from)
			continue
		}
		dst[name] = value
	}
}

// plain is the value as JSON has it, the way slog's own JSON handler writes it.
func plain(value slog.Value) any {
	switch v := value.Any().(type) {
	case time.Duration:
		return v.String()
	case error:
		return v.Error()
	default:
		return v
	}
}
