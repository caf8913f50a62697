package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

// OpenBucket opens a key-value store and makes it if it is not there; where this
// user may not, it waits for the redactor to. One that exists stays as it is: size,
// replicas and placement are the operator's.
func (c *Conn) OpenBucket(ctx context.Context, b schemas.Bucket) (kv jetstream.KeyValue, err error) {
	err = c.untilMade(ctx, "key-value store", b.Name, func(ctx context.Context) error {
		kv, err = c.openBucket(ctx, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open key-value store %s: %w", b.Name, explain(err))
	}
	return kv, nil
}

func (c *Conn) openBucket(ctx context.Context, b schemas.Bucket) (kv jetstream.KeyValue, err error) {
	stream := bucketStream + b.Name
	js := c.JetStream(stream)
	err = c.unlessDenied(ctx, func(ctx context.Context) error {
		kv, err = js.KeyValue(ctx, b.Name)
		return err
	}, c.api("STREAM.INFO."+stream, stream))
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, err
	}
	err = c.unlessDenied(ctx, func(ctx context.Context) error {
		kv, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: b.Name, Description: b.Description,
			History: 1, MaxBytes: b.MaxBytes, Storage: jetstream.FileStorage, LimitMarkerTTL: b.MarkerTTL,
		})
		return err
	}, c.api("STREAM.CREATE."+stream, stream), c.api("INFO", stream)) // the library asks first what the broker can
	switch {
	case errors.Is(err, ErrDenied):
		return nil, errNotMade
	case errors.Is(err, jetstream.ErrBucketExists): // another service was faster
		return js.KeyValue(ctx, b.Name)
	}
	return kv, err
}

// bucketStream begins the name of the stream under a key-value store.
const bucketStream = "KV_"
