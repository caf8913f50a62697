package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"sluice/internal/broker"
	"sluice/internal/daemon"
)

// The subjects on which any notifier answers requests; docs/alerts.md.
const (
	SubjectSilenceAdd    = "notifier.silence.add"
	SubjectSilenceList   = "notifier.silence.list"
	SubjectSilenceRemove = "notifier.silence.remove"
	SubjectAcknowledge   = "notifier.acknowledge"
)

// ErrNoGroup is returned where no alert of the group is open.
var ErrNoGroup = errors.New("no alert of this group is open")

// Acknowledge takes note that somebody takes care of an open group: its updates
// are told no more, its end is.
func Acknowledge(ctx context.Context, b *Groups, key, by, comment string) error {
	if !plainText(by) || !plainText(comment) {
		return fmt.Errorf("by and comment: at most %d characters on one line", maxSilenceText)
	}
	if !groupForm.MatchString(key) {
		return ErrNoGroup
	}
	for range maxRounds {
		value, revision, err := b.bucket.load(ctx, key)
		if err != nil {
			return err
		}
		if value == nil {
			return ErrNoGroup
		}
		g, err := decodeGroup(key, value)
		if err != nil || g.Opened == "" || g.Closed {
			return ErrNoGroup
		}
		g.Acknowledged = &acknowledgement{By: by, Comment: comment, At: time.Now().UTC().Truncate(time.Second)}
		if value, err = g.encode(); err != nil {
			return err
		}
		err = b.bucket.write(ctx, []put{{key: key, value: value, revision: revision}})[0].err
		if !errors.Is(err, errConflict) {
			return err
		}
	}
	return errConflict
}

// Groups are the open alerts in the store.
type Groups struct{ bucket *bucket }

// OpenGroups opens the store, and makes it if it is not there.
func OpenGroups(ctx context.Context, conn *broker.Conn) (*Groups, error) {
	b, err := openBucket(ctx, conn)
	if err != nil {
		return nil, err
	}
	return &Groups{b}, nil
}

// request is what the endpoints take, each its part.
type request struct {
	ID       string            `json:"id"`
	Matchers map[string]string `json:"matchers"`
	// For is a duration such as 4h.
	For     string `json:"for"`
	Author  string `json:"author"`
	Comment string `json:"comment"`
	Group   string `json:"group"`
	By      string `json:"by"`
}

const (
	// maxRequestBytes is several times the longest silence.
	maxRequestBytes = 64 << 10
	requestWait     = 10 * time.Second
)

// serveRequests answers requests until the returned function is called.
func serveRequests(ctx context.Context, nc *nats.Conn, groups *bucket, silences *Silences, log *slog.Logger) (stop func(), err error) {
	service, err := micro.AddService(nc, micro.Config{
		Name: "notifier", Version: "1.0.0", Description: "silences and acknowledges alerts",
		Metadata: map[string]string{"build": daemon.Version},
	})
	if err != nil {
		return nil, fmt.Errorf("answer requests: %w", err)
	}
	stop = func() { _ = service.Stop() }
	c := &control{groups: &Groups{groups}, silences: silences, log: log}
	for subject, answer := range map[string]func(context.Context, request) (any, error){
		SubjectSilenceAdd: c.add, SubjectSilenceList: c.list, SubjectSilenceRemove: c.remove, SubjectAcknowledge: c.acknowledge,
	} {
		name := map[string]string{
			SubjectSilenceAdd: "silence-add", SubjectSilenceList: "silence-list", SubjectSilenceRemove: "silence-remove", SubjectAcknowledge: "acknowledge",
		}[subject]
		handler := micro.HandlerFunc(func(r micro.Request) { respond(ctx, r, answer, log) })
		if err := service.AddEndpoint(name, handler, micro.WithEndpointSubject(subject)); err != nil {
			stop()
			return nil, fmt.Errorf("answer requests on %s: %w", subject, err)
		}
	}
	return stop, nil
}

// respond reads a request, and answers with JSON, or with an error in the headers
// of NATS's services.
func respond(ctx context.Context, r micro.Request, answer func(context.Context, request) (any, error), log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	var in request
	if len(r.Data()) > maxRequestBytes || len(r.Data()) > 0 && json.Unmarshal(r.Data(), &in) != nil {
		_ = r.Error("400", "the request is no JSON object of the documented form", nil)
		return
	}
	out, err := answer(ctx, in)
	switch {
	case errors.Is(err, ErrNoGroup), errors.Is(err, ErrNoSilence):
		_ = r.Error("404", err.Error(), nil)
	case errors.Is(err, errUnavailable):
		log.Error("request cannot be answered", "subject", r.Subject(), "error", err)
		_ = r.Error("503", "the store cannot be reached; try again", nil)
	case err != nil:
		_ = r.Error("400", err.Error(), nil)
	default:
		_ = r.RespondJSON(out)
	}
}

var errUnavailable = errors.New("the store cannot be reached")

// control is what the endpoints do.
type control struct {
	groups   *Groups
	silences *Silences
	log      *slog.Logger
}

func (c *control) add(ctx context.Context, in request) (any, error) {
	lasting, err := time.ParseDuration(in.For)
	if err != nil {
		return nil, errors.New("for: must be a duration such as 30m or 4h")
	}
	wanted := Silence{Matchers: in.Matchers, Author: in.Author, Comment: in.Comment, CreatedAt: time.Now()}
	wanted.Until = wanted.CreatedAt.Add(lasting)
	if err := wanted.Validate(); err != nil {
		return nil, err
	}
	added, err := c.silences.Add(ctx, wanted, lasting)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	c.log.Info("silence added", "silence", added.ID, "until", added.Until)
	return added, nil
}

func (c *control) list(ctx context.Context, _ request) (any, error) {
	silences, err := c.silences.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return map[string]any{"silences": silences}, nil
}

func (c *control) remove(ctx context.Context, in request) (any, error) {
	err := c.silences.Remove(ctx, in.ID)
	if err != nil && !errors.Is(err, ErrNoSilence) {
		err = fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return map[string]string{"removed": in.ID}, err
}

func (c *control) acknowledge(ctx context.Context, in request) (any, error) {
	if !plainText(in.By) || !plainText(in.Comment) {
		return nil, fmt.Errorf("by and comment: at most %d characters on one line", maxSilenceText)
	}
	err := Acknowledge(ctx, c.groups, in.Group, in.By, in.Comment)
	if err != nil && !errors.Is(err, ErrNoGroup) {
		err = fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return map[string]string{"acknowledged": in.Group}, err
}

// groupForm is that of a group's key in the store.
var groupForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}\.[0-9a-f]{32}$`)
