package auditlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/producer"
	"sluice/producer/auditlog"
	"sluice/schemas"
)

// taken collects what is published.
type taken struct {
	events []schemas.Event
	err    error
}

func (p *taken) Publish(_ context.Context, ev schemas.Event) (producer.Ack, error) {
	p.events = append(p.events, ev)
	return producer.Ack{PK: ev.PK, Err: p.err}, p.err
}

func newLogger() (*slog.Logger, *taken, *bytes.Buffer) {
	p, text := &taken{}, &bytes.Buffer{}
	drop := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	next := slog.NewTextHandler(text, &slog.HandlerOptions{ReplaceAttr: drop})
	return slog.New(auditlog.New(p, next, auditlog.Config{})), p, text
}

func TestRecordsOfTheGroupBecomeEvents(t *testing.T) {
	for name, tc := range map[string]struct {
		log    func(*slog.Logger)
		event  string // "" for none
		logged string
	}{
		"another record": {
			func(l *slog.Logger) { l.With("a", 1).WithGroup("g").Info("hello", "b", 2) }, "", "level=INFO msg=hello a=1 g.b=2\n",
		},
		"below the level": {
			func(l *slog.Logger) { l.WithGroup("audit").Debug("login") }, `{"action":"login","context":{}}`, "",
		},
		"with the group": {
			func(l *slog.Logger) {
				l.WithGroup("audit").Info("login_failed", "username", "ann", "password", "hunter2")
			},
			`{"action":"login_failed","context":{"password":"hunter2","username":"ann"}}`, "",
		},
		"a sentence": {
			func(l *slog.Logger) {
				l.WithGroup("audit").Warn("it broke", "action", "system_exception", "app", "billing")
			},
			`{"action":"system_exception","app":"billing","context":{"message":"it broke"}}`, "",
		},
		"as an attribute": {
			func(l *slog.Logger) {
				l.Info("login failed", "took", 3, slog.Group("audit", "action", "login_failed", "password", "hunter2"))
			},
			`{"action":"login_failed","context":{"message":"login failed","password":"hunter2"}}`, "level=INFO msg=\"login failed\" took=3\n",
		},
		"all fields": {
			func(l *slog.Logger) {
				l.WithGroup("audit").With(slog.Group("user", "username", "ann")).Info("login", slog.Group("user", "pk", 7),
					"client_ip", netip.MustParseAddr("203.0.113.7"), "pk", "6f9619ff-8b86-4011-b42d-00c04fc964ff",
					slog.Group("brand", "name", "b"), "took", time.Second, "error", errors.New("no"))
			},
			`{"pk":"6f9619ff-8b86-4011-b42d-00c04fc964ff","user":{"pk":7,"username":"ann"},"action":"login","context":{"error":"no","took":"1s"},"client_ip":"203.0.113.7","brand":{"name":"b"}}`, "",
		},
		"groups within": {
			func(l *slog.Logger) {
				l.WithGroup("audit").WithGroup("http_request").With("path", "/").Info("login", "method", "GET")
			},
			`{"action":"login","context":{"http_request":{"method":"GET","path":"/"}}}`, "",
		},
		"the group of another": {
			func(l *slog.Logger) { l.WithGroup("x").WithGroup("audit").Info("hello", "a", 1) }, "", "level=INFO msg=hello x.audit.a=1\n",
		},
		"not an address": {
			func(l *slog.Logger) { l.WithGroup("audit").Info("login", "client_ip", "hunter2") }, "",
			"level=ERROR msg=\"audit event not published\" event_id=00000000-0000-0000-0000-000000000000 error=\"client_ip: not an IPv4 or IPv6 address\"\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			log, p, text := newLogger()
			tc.log(log)
			got := ""
			for _, ev := range p.events {
				if ev.Created.IsZero() {
					t.Error("the event has no time")
				}
				ev.Created = time.Time{}
				got += string(ev.AppendJSON(nil))
			}
			if got != tc.event || text.String() != tc.logged {
				t.Errorf("event  %s\nwant   %s\nlogged %s\nwant   %s", got, tc.event, text, tc.logged)
			}
		})
	}
}

func TestWhatIsNotPublishedIsTold(t *testing.T) {
	log, p, text := newLogger()
	p.err = fmt.Errorf("publish: %w", producer.ErrFull)
	log.WithGroup("audit").Info("login", "password", "hunter2")
	if !strings.Contains(text.String(), "audit event not published") || strings.Contains(text.String(), "hunter2") {
		t.Errorf("logged %s", text)
	}
}
