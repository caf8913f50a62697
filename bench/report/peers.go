package report

import (
	"fmt"
	"strings"
)

// peers are the other programs that were measured.
func (p *page) peers(r *Results, rows []*row) {
	if len(r.Peers) == 0 {
		return
	}
	p.linef("## Peers\n")
	p.linef("The same events, machine and ClickHouse; each set up as its user would ([configurations](peer/otelcol)). Upstream's Collector")
	p.linef("has no NATS components: its redactionprocessor and clickhouseexporter run behind a receiver and an exporter of ours")
	p.linef("([peers/otelcol](peers/otelcol)), which fetch and publish in batches. The Collector's patterns are a short list of our own;")
	p.linef("it masks less than Sluice does, and its table has other columns and indexes.\n")
	for _, peer := range r.Peers {
		sync := peer.Sync
		if sync == "" {
			sync = "default"
		}
		p.linef("- **%s**: %s. Broker: sync_interval %s. %s.", peer.Name, peer.Guarantee, sync, pairs(peer.Versions, " "))
	}
	p.linef("")
	p.leaks(r)
	var mine [][]string
	for _, stage := range []string{StageRedact, StageSink} {
		sluice := find(rows, stage, Sluice, PeersVariant)
		for _, row := range rows {
			if row.stage != stage || row.variant != PeersVariant {
				continue
			}
			times := "-"
			if got := ratios(sluice, row); len(got) > 0 && row != sluice {
				times = fmt.Sprintf("%.1f", median(got))
			}
			cells := row.cells(rows)
			cells[4] = times
			mine = append(mine, append([]string{stage}, cells...))
		}
	}
	p.table("stage|"+strings.Replace(rowHeader, "of the ceiling", "Sluice is so many times faster", 1), true, mine)
}

// leaks says how many planted secrets came through: what is fast because it masks less is
// no faster.
func (p *page) leaks(r *Results) {
	var rows [][]string
	for _, peer := range r.Peers {
		looked, leaked := 0, 0
		for i := range r.Measurements {
			if m := &r.Measurements[i]; m.Who == peer.Name {
				looked, leaked = looked+m.Looked, leaked+m.Leaked
			}
		}
		if looked > 0 {
			rows = append(rows, []string{peer.Name, count(float64(looked)), count(float64(leaked))})
		}
	}
	if len(rows) > 0 {
		p.linef("About 5 %% of the events carry a secret. Still there behind each:\n")
		p.table("who|events looked through|with a planted secret", false, rows)
	}
}

// publishedFigure is what others say of themselves, on other machines and with other
// events: not to be compared with the tables above.
type publishedFigure struct{ who, figure, source, built string }

var publishedFigures = []publishedFigure{
	{"GlassFlow, 2025", "9,000 records/s with deduplication on a laptop", "its blog, load test", notServed},
	{
		"GlassFlow, 2026", "120,000 events/s with 2 sink replicas, 510,000 with 10 (6 CPU a pair, 9 NATS nodes)",
		"docs/architecture/performance of its documentation", notServed,
	},
	{"Redpanda Connect", "S3 sink 61,000 to 73,000 messages/s; none for NATS or ClickHouse", "docs/benchmark-results of its repository", notServed},
	{"Redpanda Connect, nats_jetstream", "about 2 MiB a minute for a consumer: it fetches one message at a time", "a user, redpanda-data/connect#4160", notServed},
	{
		"Vector, about 2020", "TCP to nowhere 86 MiB/s, with a regular expression 13 MiB/s", "vectordotdev/vector-test-harness",
		"no: Rust; its JetStream source acknowledges before the sink has stored (vectordotdev/vector#26345)",
	},
	{"OpenTelemetry clickhouseexporter", "some 40,000 logs/s a core", "README of the exporter", "yes, above"},
	{"OpenTelemetry Collector, Rotel", "137,000 and 462,000 spans/s a core", "blog of clickhouse.com", "the Collector, above"},
	{"ClickHouse LogHouse", "2 million logs/s on 800 cores and more", "blog of clickhouse.com", "no: a service, not a program"},
	{"nats bench, Apple M4, 2.12.1", "async 404,000/s, atomic 627,000/s with 16 bytes in memory", "natsbench.md of nats.docs", "the broker, above"},
	{
		"clickhouse-go 2.50", "a million rows of 4 columns: native 368 ms, column by column 581 ms", "README of clickhouse-go",
		"as bare insert, above",
	},
	{"ClickHouse's NATS engine, Kafka Connect Sink", "none found", "", "no: a part of the server, and of Kafka"},
}

const notServed = "no: the Go module proxy does not serve its module"

func (p *page) published() {
	p.linef("## What others publish\n")
	p.linef("On other machines, with other events and other guarantees: no comparison.\n")
	var rows [][]string
	for _, f := range publishedFigures {
		rows = append(rows, []string{f.who, f.figure, f.source, f.built})
	}
	p.table("who|figure|source|built here", false, rows)
}
