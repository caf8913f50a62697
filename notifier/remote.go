package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// Remote silences and acknowledges alerts by asking a notifier that runs, for whoever
// may not write to its store.
type Remote struct{ nc *nats.Conn }

// NewRemote asks over that connection.
func NewRemote(nc *nats.Conn) Remote { return Remote{nc} }

// Add is Silences.Add.
func (r Remote) Add(ctx context.Context, silence Silence, lasting time.Duration) (added Silence, err error) {
	in := request{Matchers: silence.Matchers, For: lasting.String(), Author: silence.Author, Comment: silence.Comment}
	err = r.ask(ctx, SubjectSilenceAdd, in, &added)
	return added, err
}

// List is Silences.List.
func (r Remote) List(ctx context.Context) ([]Silence, error) {
	var out struct {
		Silences []Silence `json:"silences"`
	}
	err := r.ask(ctx, SubjectSilenceList, request{}, &out)
	return out.Silences, err
}

// Remove is Silences.Remove.
func (r Remote) Remove(ctx context.Context, id string) error {
	return r.ask(ctx, SubjectSilenceRemove, request{ID: id}, nil)
}

// Acknowledge is the function of that name.
func (r Remote) Acknowledge(ctx context.Context, key, by, comment string) error {
	return r.ask(ctx, SubjectAcknowledge, request{Group: key, By: by, Comment: comment}, nil)
}

// ask asks, and reads the answer into out, unless that is nil.
func (r Remote) ask(ctx context.Context, subject string, in request, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	answer, err := r.nc.RequestWithContext(ctx, subject, body)
	if errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("ask on %s: no notifier answers: start one, or be a user of the broker that may write to %s", subject, SilenceBucket)
	}
	if err != nil {
		return fmt.Errorf("ask on %s: %w", subject, err)
	}
	if answer.Header.Get(micro.ErrorCodeHeader) != "" {
		return errors.New(answer.Header.Get(micro.ErrorHeader))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Data, out); err != nil {
		return fmt.Errorf("ask on %s: the answer is not of the documented form", subject)
	}
	return nil
}
