package sink

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
)

// TestServiceSaysThatTheTableIsGone is about /readyz: it has to go on saying so, however often it is tried again.
func TestServiceSaysThatTheTableIsGone(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	conn := connect(t, mq)
	cfg := testConfig(mq.ClientURL(), ch.url)
	cfg.Telemetry.Expect("sink")
	startSink(t, cfg)
	publishEvents(t, conn, 10)
	eventuallyQuery(t, ch, countRows, rows(10))
	ch.query(t, "RENAME TABLE sluice.events TO sluice.events_away")
	publishEvents(t, conn, 10)
	gone := func() bool {
		err := cfg.Telemetry.Unready()
		return err != nil && strings.Contains(err.Error(), "UNKNOWN_TABLE")
	}
	eventually(t, "it says that the table is gone", gone)
	db, err := openClickHouse(t.Context(), cfg.ClickHouse, newMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	// ClickHouse repeats the statement, and the name of the error, which comes behind it, is cut off.
	looked := make([]entry, lookupRows)
	for i := range looked {
		looked[i].pk = uuid.New()
	}
	if _, err := db.known(t.Context(), looked); err == nil || !strings.Contains(err.Error(), "UNKNOWN_TABLE") {
		t.Errorf("a look-up without the table: %v", err)
	}
	before := retries(t, cfg)
	eventually(t, "it is tried again", func() bool {
		if !gone() {
			t.Error("it is ready without the table")
		}
		return retries(t, cfg) >= before+4
	})
	ch.query(t, "RENAME TABLE sluice.events_away TO sluice.events")
	eventuallyQuery(t, ch, countRows, rows(20))
	eventually(t, "it is ready again", func() bool { return cfg.Telemetry.Unready() == nil })
}

func retries(t *testing.T, cfg Config) int {
	t.Helper()
	families, err := cfg.Telemetry.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "sink_retries_total" {
			return int(f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	t.Fatal("there is no sink_retries_total")
	return 0
}
