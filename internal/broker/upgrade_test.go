package broker_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

// Streams and consumers of an older version, with other limits and features, become
// what this version wants in place: the messages stay, and each consumer goes on
// where it was. What is the operator's stays too.
func TestUpgradeInPlace(t *testing.T) {
	t.Parallel()
	const stored, acked = 20, 7
	conn := connect(t, startServer(t, t.TempDir(), -1))
	for _, s := range schemas.Streams() {
		old := jetstream.StreamConfig{
			Name: s.Name, Description: "of an older version", Subjects: s.Subjects, Retention: jetstream.LimitsPolicy,
			Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld, MaxBytes: 64 << 20, Duplicates: 30 * time.Second,
		}
		if _, err := conn.JS.CreateStream(t.Context(), old); err != nil {
			t.Fatal(err)
		}
	}
	subjects := map[string]string{
		schemas.StreamRaw: schemas.RawSubject("acme", "login"), schemas.StreamClean: schemas.CleanSubject("acme", schemas.ActionSystemException),
	}
	created := map[string]time.Time{}
	consumers := []schemas.Consumer{
		schemas.RedactorConsumer(), schemas.SinkConsumer(), schemas.NotifierConsumer(schemas.ActionSystemException, schemas.ActionUpdateAvailable),
	}
	for _, subject := range subjects {
		for range stored {
			if _, err := conn.JS.Publish(t.Context(), subject, []byte(`{}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, want := range consumers {
		old := jetstream.ConsumerConfig{
			Durable: want.Durable, Description: "of an older version", AckPolicy: jetstream.AckExplicitPolicy,
			AckWait: time.Second, MaxAckPending: 100, MaxDeliver: 5,
		}
		if want.InOrder {
			old.AckPolicy = jetstream.AckAllPolicy
		}
		consumer, err := conn.JS.CreateConsumer(t.Context(), want.Stream, old)
		if err != nil {
			t.Fatal(err)
		}
		created[want.Durable] = consumer.CachedInfo().Created
		batch, err := consumer.Fetch(acked)
		if err != nil {
			t.Fatal(err)
		}
		for msg := range batch.Messages() {
			if err := msg.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}

	if err := conn.EnsureStreams(t.Context(), schemas.Streams()...); err != nil {
		t.Fatal(err)
	}
	for _, s := range schemas.Streams() {
		stream, err := conn.JS.Stream(t.Context(), s.Name)
		if err != nil {
			t.Fatal(err)
		}
		info := stream.CachedInfo()
		cfg := info.Config
		if !cfg.AllowAtomicPublish || !cfg.AllowDirect || cfg.Duplicates != s.Duplicates || cfg.Description != s.Description ||
			(cfg.Discard == jetstream.DiscardOld) != s.DiscardOld || cfg.MaxBytes != 64<<20 {
			t.Errorf("%s: got %+v", s.Name, cfg)
		}
		if want := uint64(stored); subjects[s.Name] != "" && (info.State.Msgs != want || info.State.FirstSeq != 1) {
			t.Errorf("%s: got %d messages, want the %d of before", s.Name, info.State.Msgs, want)
		}
	}
	for _, want := range consumers {
		consumer, err := conn.EnsureConsumer(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		info := consumer.CachedInfo()
		if !info.Created.Equal(created[want.Durable]) || info.AckFloor.Stream != acked {
			t.Errorf("%s: made at %s, acknowledged up to %d; want %s and %d", want.Durable, info.Created, info.AckFloor.Stream, created[want.Durable], acked)
		}
		if info.Config.AckWait != want.AckWait || info.Config.MaxAckPending != want.MaxAckPending || info.Config.MaxDeliver != -1 ||
			len(info.Config.FilterSubjects)+len(info.Config.FilterSubject) == 0 && len(want.FilterSubjects) > 0 {
			t.Errorf("%s: got %+v", want.Durable, info.Config)
		}
		if want.InOrder {
			if err := conn.ResetTo(t.Context(), want.Stream, want.Durable, acked+1); err != nil {
				t.Fatal(err)
			}
		}
		takeAndAck(t, conn, consumer, stored-acked)
		until(t, want.Durable+" has all", func() bool {
			info, err := consumer.Info(t.Context())
			return err == nil && info.AckFloor.Stream == stored && info.NumPending == 0
		})
	}
}
