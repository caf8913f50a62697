package notifier

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
)

// SilenceBucket is the JetStream key-value store that holds the silences, each
// under its id.
const SilenceBucket = "ALERT_SILENCES"

// silenceBucketBytes holds some ten thousand silences.
const silenceBucketBytes = 16 << 20

// ErrNoSilence is returned where no silence of the id is in force.
var ErrNoSilence = errors.New("there is no such silence")

// Silences are those in the store.
type Silences struct {
	kv jetstream.KeyValue
	// forgets tells that the store forgets by itself what is over.
	forgets bool
}

// OpenSilences opens the store and makes it if it is not there.
func OpenSilences(ctx context.Context, conn *broker.Conn) (*Silences, error) {
	kv, err := conn.OpenBucket(ctx, jetstream.KeyValueConfig{
		Bucket: SilenceBucket, Description: "what the notifier does not tell for a while",
		History: 1, MaxBytes: silenceBucketBytes, Storage: jetstream.FileStorage, LimitMarkerTTL: markerTTL,
	})
	if err != nil {
		return nil, err
	}
	stream, err := conn.JS.Stream(ctx, "KV_"+SilenceBucket)
	if err != nil {
		return nil, fmt.Errorf("open key-value store %s: %w", SilenceBucket, err)
	}
	return &Silences{kv: kv, forgets: stream.CachedInfo().Config.AllowMsgTTL}, nil
}

// Add stores a silence that begins now, gives it an id, and returns it.
func (s *Silences) Add(ctx context.Context, silence Silence, lasting time.Duration) (Silence, error) {
	silence.CreatedAt = time.Now().UTC().Truncate(time.Second)
	silence.Until = silence.CreatedAt.Add(lasting)
	if err := silence.Validate(); err != nil {
		return Silence{}, err
	}
	var id [6]byte
	_, _ = rand.Read(id[:]) // it never fails
	silence.ID = hex.EncodeToString(id[:])
	value, err := json.Marshal(silence)
	if err != nil {
		return Silence{}, fmt.Errorf("encode silence: %w", err)
	}
	var opts []jetstream.KVCreateOpt
	if s.forgets {
		opts = append(opts, jetstream.KeyTTL(max(lasting, time.Second)))
	}
	if _, err := s.kv.Create(ctx, silence.ID, value, opts...); err != nil {
		return Silence{}, fmt.Errorf("store silence: %w", err)
	}
	return silence, nil
}

// List returns the silences in force, those that end first at the beginning.
func (s *Silences) List(ctx context.Context) ([]Silence, error) {
	watcher, err := s.kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("list silences: %w", err)
	}
	defer watcher.Stop() //nolint:errcheck // reading is over
	out := []Silence{}
	for {
		select {
		case entry, open := <-watcher.Updates():
			if !open {
				return nil, errors.New("list silences: the connection has ended")
			}
			if entry == nil {
				slices.SortFunc(out, func(a, b Silence) int { return a.Until.Compare(b.Until) })
				return out, nil
			}
			if silence, err := decodeSilence(entry.Key(), entry.Value()); err == nil && time.Now().Before(silence.Until) {
				out = append(out, *silence)
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("list silences: %w", ctx.Err())
		}
	}
}

// Remove ends a silence.
func (s *Silences) Remove(ctx context.Context, id string) error {
	entry, err := s.kv.Get(ctx, id)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrInvalidKey):
		return fmt.Errorf("%w: %.64q", ErrNoSilence, id)
	case err != nil:
		return fmt.Errorf("look up silence: %w", err)
	}
	var opts []jetstream.KVDeleteOpt
	opts = append(opts, jetstream.LastRevision(entry.Revision()))
	if s.forgets {
		opts = append(opts, jetstream.PurgeTTL(markerTTL))
	}
	if err := s.kv.Purge(ctx, id, opts...); err != nil {
		return fmt.Errorf("remove silence: %w", err)
	}
	return nil
}

// watch delivers every silence, then nil, then every change, until ctx ends.
func (s *Silences) watch(ctx context.Context) (<-chan jetstream.KeyValueEntry, error) {
	watcher, err := s.kv.WatchAll(ctx)
	if err != nil {
		return nil, fmt.Errorf("watch key-value store %s: %w", SilenceBucket, err)
	}
	return watcher.Updates(), nil
}

var errSilenceForm = errors.New("not of the form of a silence")

// decodeSilence reads what Add wrote.
func decodeSilence(id string, value []byte) (*Silence, error) {
	var s Silence
	if json.Unmarshal(value, &s) != nil { // its own words may quote the value
		return nil, errSilenceForm
	}
	s.ID = id
	if err := s.Validate(); err != nil {
		return nil, errSilenceForm
	}
	return &s, nil
}
