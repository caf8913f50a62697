package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

// A broker that is locked down (deploy/nats) keeps EVENTS_RAW and EVENTS_QUARANTINE
// in an account of their own, where the redactor alone is. The other account's API
// is there under this prefix.
const otherAPI = "SLUICE.API"

// FindAccounts finds out whether the streams behind the redactor are in another
// account, and reaches them there from now on. Only the redactor may have to.
func (c *Conn) FindAccounts(ctx context.Context) (apart bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptWait)
	defer cancel()
	err = c.unlessDenied(ctx, func(ctx context.Context) error {
		_, err := c.NC.RequestWithContext(ctx, otherAPI+".INFO", nil)
		return err
	}, otherAPI+".INFO")
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, ErrDenied):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask for the account of %s: %w", schemas.StreamClean, err)
	}
	c.other, err = jetstream.NewWithAPIPrefix(c.NC, otherAPI)
	return true, err
}

// JetStream is how to reach a stream, in whichever account it is.
func (c *Conn) JetStream(stream string) jetstream.JetStream {
	if c.other != nil && stream != schemas.StreamRaw && stream != schemas.StreamQuarantine {
		return c.other
	}
	return c.JS
}

// api is the subject of a request to where a stream is.
func (c *Conn) api(request, stream string) string {
	prefix := jetstream.DefaultAPIPrefix
	if c.other != nil && c.JetStream(stream) == c.other {
		prefix = otherAPI + "."
	}
	return prefix + request
}

// ErrDenied is what became of a request that the broker's permissions forbid: be
// another user of the broker, or ask who may. The broker says so on the connection, and
// nothing to the request.
var ErrDenied = errors.New("the broker's permissions forbid it")

// unlessDenied makes a request, and stops waiting when the broker says that this user
// may not publish to its subject, or to another one that it needs.
func (c *Conn) unlessDenied(ctx context.Context, request func(context.Context) error, subjects ...string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, subject := range subjects {
		defer c.denials.expect(subject, func() { cancel(ErrDenied) })()
	}
	err := request(ctx)
	if err != nil && errors.Is(context.Cause(ctx), ErrDenied) {
		return ErrDenied
	}
	return err
}

// denials passes on what the broker says about permissions to whoever asked.
type denials struct {
	mu       sync.Mutex
	expected map[string][]*func()
}

// expect calls told when a publish to the subject is refused, until the returned
// function is called.
func (d *denials) expect(subject string, told func()) (stop func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.expected == nil {
		d.expected = map[string][]*func(){}
	}
	mine := &told
	d.expected[subject] = append(d.expected[subject], mine)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		var left []*func()
		for _, other := range d.expected[subject] {
			if other != mine {
				left = append(left, other)
			}
		}
		if d.expected[subject] = left; left == nil {
			delete(d.expected, subject)
		}
	}
}

// pass reports whether somebody expected this error, who has been told.
func (d *denials) pass(err error) bool {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return false
	}
	_, rest, _ := strings.Cut(err.Error(), `Publish to "`)
	subject, _, _ := strings.Cut(rest, `"`)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, told := range d.expected[subject] {
		(*told)()
	}
	return len(d.expected[subject]) > 0
}
