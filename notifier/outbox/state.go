package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// disabling is what the store says of a receiver that is disabled.
type disabling struct {
	At  time.Time `json:"at"`
	Why string    `json:"why"`
}

func (s *Store) disable(ctx context.Context, name, why string, at time.Time) error {
	value, err := json.Marshal(disabling{At: at.UTC(), Why: why})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), brokerWait)
	defer cancel()
	_, err = s.disabled.Put(ctx, name, value)
	return err
}

func (s *Store) enable(ctx context.Context, name string) error {
	if _, err := s.disabled.Get(ctx, name); errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil
	}
	if err := s.disabled.Purge(ctx, name); err != nil {
		return fmt.Errorf("enable receiver %s: %w", name, err)
	}
	return nil
}

// waitEnabled waits while the receiver is disabled.
func (s *Store) waitEnabled(ctx context.Context, name string) error {
	watch, err := s.disabled.Watch(ctx, name)
	if err != nil {
		return fmt.Errorf("watch bucket %s: %w", s.disabled.Bucket(), err)
	}
	defer func() { _ = watch.Stop() }() // it is over either way
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case entry, open := <-watch.Updates():
			switch {
			case !open:
				return fmt.Errorf("watch bucket %s: it ended", s.disabled.Bucket())
			case entry == nil || entry.Operation() != jetstream.KeyValuePut:
				if disabled, err := s.isDisabled(ctx, name); err != nil || disabled == nil {
					return err
				}
			}
		}
	}
}

// isDisabled returns nil for a receiver that is not.
func (s *Store) isDisabled(ctx context.Context, name string) (*disabling, error) {
	entry, err := s.disabled.Get(ctx, name)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return nil, nil //nolint:nilnil // it is not disabled
	case err != nil:
		return nil, fmt.Errorf("read bucket %s: %w", s.disabled.Bucket(), err)
	}
	var d disabling
	if err := json.Unmarshal(entry.Value(), &d); err != nil {
		return nil, fmt.Errorf("read bucket %s: key %s is not as Sluice writes it", s.disabled.Bucket(), name)
	}
	return &d, nil
}
