package redactor

import (
	"context"
	"time"

	"sluice/internal/broker"
	"sluice/schemas"
)

// lagEvery is how often the backlog is asked for: it is shown on a dashboard,
// and the question costs the broker a round trip.
const lagEvery = 5 * time.Second

// watchLag keeps the metric of the backlog until ctx ends.
func watchLag(ctx context.Context, conn *broker.Conn, m *metrics) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for {
		if n, err := backlog(ctx, conn); err == nil {
			m.lag.Set(float64(n)) // else the next one will tell
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// backlog asks for the consumer by its name, since an operator may have made it
// anew.
func backlog(ctx context.Context, conn *broker.Conn) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, lagEvery)
	defer cancel()
	consumer, err := conn.JetStream(schemas.StreamRaw).Consumer(ctx, schemas.StreamRaw, schemas.ConsumerRedactor)
	if err != nil {
		return 0, err
	}
	info := consumer.CachedInfo()
	return info.NumPending + uint64(max(0, info.NumAckPending)), nil
}
