package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// page is what a report is written to.
type page struct{ strings.Builder }

func (p *page) linef(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// table writes a table; its columns from the third on are numbers where right says so.
func (p *page) table(header string, right bool, rows [][]string) {
	columns := strings.Split(header, "|")
	rule := make([]string, len(columns))
	for i := range rule {
		rule[i] = "---"
		if right && i > 1 {
			rule[i] = "---:"
		}
	}
	p.linef("| %s |", strings.Join(columns, " | "))
	p.linef("| %s |", strings.Join(rule, " | "))
	for _, r := range rows {
		p.linef("| %s |", strings.Join(r, " | "))
	}
	p.linef("")
}

// Markdown writes RESULTS.md. bounds is a section of its own in Markdown that says what
// bounds the targets that are missed, "" for none: a person writes it, from profiles.
func Markdown(r *Results, bounds string) string {
	rows := summary(r)
	p := &page{}
	p.linef("# Results of the benchmark\n")
	p.linef("Written by `make bench` from [results.json](results.json); `bin/bench report -out bench` writes it again.\n")
	p.machine(r)
	p.linef("![events per second of each stage beside its ceiling, and latencies](results.svg)\n")
	p.targets(targets(r, rows))
	if bounds != "" {
		p.linef("%s\n", strings.TrimSpace(bounds))
	}
	p.stages(rows)
	p.sustained(r.Sustained)
	p.latencies(r.Latencies)
	p.growth(rows)
	p.peers(r, rows)
	p.published()
	p.skipped(r.Skipped)
	p.method()
	return strings.TrimRight(p.String(), "\n") + "\n"
}

func (p *page) machine(r *Results) {
	if r.At.IsZero() {
		p.linef("**Nothing has been measured yet.** Run `make bench-peers` and `make bench` on a machine with nothing else to do.\n")
		return
	}
	m := r.Machine
	p.linef("%s. %d cores of %s, %s of memory, Linux %s, data on %s; load average before the run %s. The run took %s.",
		r.At.Format("2 January 2006, 15:04 MST"), m.Cores, m.CPU, megabytes(float64(m.MemoryBytes)), m.Kernel, m.Filesystem, m.Load,
		(time.Duration(r.Seconds) * time.Second).String())
	if r.EventBytes > 0 {
		p.linef("Events have %s bytes in the mean; 5 %% carry a secret.", count(float64(r.EventBytes)))
	}
	p.linef("")
	if r.Note != "" {
		p.linef("**%s**\n", r.Note)
	}
	p.linef("Versions: %s. Settings: %s.\n", pairs(r.Versions, " "), pairs(r.Settings, "="))
}

func pairs(m map[string]string, between string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if m[name] != "" {
			out = append(out, name+between+m[name])
		}
	}
	return strings.Join(out, ", ")
}

func (p *page) targets(all []target) {
	p.linef("## Targets\n")
	var rows [][]string
	for _, t := range all {
		rows = append(rows, []string{t.what, t.want, t.got, t.verdict})
	}
	p.table("target|wanted|measured|", false, rows)
}

func (p *page) stages(rows []*row) {
	var mine [][]string
	for _, stage := range []string{StagePublish, StageRedact, StageSink} {
		for _, r := range rows {
			if r.stage == stage && r.variant == "" {
				mine = append(mine, append([]string{stage}, r.cells(rows)...))
			}
		}
	}
	if len(mine) == 0 {
		return
	}
	p.linef("## Stages and their ceilings\n")
	p.linef("Median of the rounds; the range is that of the slowest and the fastest. A ratio is the median of the ratios")
	p.linef("of each round, to the lower ceiling where there are two. CPU seconds are for a million events.\n")
	p.table("stage|"+rowHeader, true, mine)
}

const rowHeader = "who|events/s|range|MB/s|of the ceiling|own CPU s|own peak RSS|broker CPU s|broker writes, an event|" +
	"ClickHouse CPU s|ClickHouse peak RSS"

// cells are one row of a table, without its case.
func (r *row) cells(rows []*row) []string {
	ratio := "-"
	if r.who == Sluice {
		if got := toCeiling(rows, r.stage, r.variant); len(got) > 0 {
			ratio = fmt.Sprintf("%.2f", median(got))
		}
	}
	own, ownRSS := 0.0, int64(0)
	cells := []string{"-", "-", "-", "-"}
	for _, c := range r.processes {
		switch c.name {
		case "nats-server":
			cells[0], cells[1] = fmt.Sprintf("%.1f", c.cpuPerMillion), bytesOf(c.writtenPerEvent)
		case "clickhouse":
			cells[2], cells[3] = fmt.Sprintf("%.1f", c.cpuPerMillion), megabytes(float64(c.peakRSSBytes))
		default:
			own += c.cpuPerMillion
			ownRSS = max(ownRSS, c.peakRSSBytes)
		}
	}
	return append([]string{
		r.who, count(r.median()), fmt.Sprintf("%s to %s", count(slices.Min(r.rates)), count(slices.Max(r.rates))),
		fmt.Sprintf("%.1f", r.bytesPerSecond/1e6), ratio, fmt.Sprintf("%.1f", own), megabytes(float64(ownRSS)),
	}, cells...)
}

func (p *page) sustained(s *Sustained) {
	if s == nil {
		return
	}
	p.linef("## End to end at full load\n")
	p.linef("`producer publish`, redactor, sink and notifier at once: %s events in %.0f s, **%s events/s**, %s/s; %s rows, %s different.",
		count(float64(s.Published)), s.Seconds, count(s.Rate()), megabytes(float64(s.Bytes)/s.Seconds),
		count(float64(s.Rows)), count(float64(s.Different)))
	if len(s.PerSecond) > 0 {
		least, most := count(float64(slices.Min(s.PerSecond))), count(float64(slices.Max(s.PerSecond)))
		p.linef("Stored in each second: %s at least, %s at most.", least, most)
	}
	p.linef("The harness writes the events to the producer and looks at the table on the same cores, and is not in the table below.\n")
	p.processes(s.Processes, s.Rows, s.Seconds)
}

func (p *page) processes(all []Process, events int, seconds float64) {
	var rows [][]string
	for _, c := range all {
		rows = append(rows, []string{
			c.Name, fmt.Sprintf("%.1f", c.CPU.Seconds()/float64(events)*1e6), fmt.Sprintf("%.2f", c.CPU.Seconds()/seconds),
			megabytes(float64(c.PeakRSSBytes)), bytesOf(float64(c.WrittenBytes) / float64(events)),
		})
	}
	p.table("process|CPU s for a million events|cores|peak RSS|written, an event", true, rows)
}

func (p *page) latencies(all []Latency) {
	if len(all) == 0 {
		return
	}
	p.linef("## Latency\n")
	p.linef("Open loop: each event has its time beforehand, and what is counted begins then, so that a stall shows in all events")
	p.linef("that were due in it. Queryable is when a look at `max(stream_seq)` shows the event's own or a later one; there is a look")
	p.linef("each %s, beside the time that it takes. An alert is there when it is delivered from the ALERTS stream; each probe has an app of",
		duration(all[0].PollEvery))
	p.linef("its own, so that neither grouping nor a storm hides its alert.\n")
	var rows [][]string
	for i := range all {
		l := &all[i]
		for _, s := range l.summaries() {
			rows = append(rows, []string{
				fmt.Sprintf("%s (%s events/s for %.0f s)", l.Name, count(l.Rate), l.Seconds), "publish → " + s.name,
				duration(s.of.P50), duration(s.of.P99), duration(s.of.P999), duration(s.of.Max), count(float64(s.of.Count)),
			})
		}
	}
	p.table("load|from when it was due|p50|p99|p99.9|max|events", true, rows)
	for i := range all {
		p.linef("At %s:\n", all[i].Name)
		p.processes(all[i].Processes, all[i].Published, all[i].Seconds)
	}
}

func (p *page) growth(rows []*row) {
	var mine [][]string
	for _, r := range rows {
		if r.variant != "" && r.variant != PeersVariant {
			mine = append(mine, append([]string{r.stage + ", " + r.caseName()}, r.cells(rows)...))
		}
	}
	if len(mine) == 0 {
		return
	}
	p.linef("## How the cost grows\n")
	p.linef("Larger events carry other events, secrets included; there are as many as make the same bytes. Own CPU is that of all")
	p.linef("redactors together, own RSS that of the largest.\n")
	p.table("case|"+rowHeader, true, mine)
}

func (p *page) skipped(all []Skipped) {
	if len(all) == 0 {
		return
	}
	p.linef("## Not measured in this run\n")
	for _, s := range all {
		what, _, _ := strings.Cut(s.Why, "\n")
		p.linef("- %s: %s", s.What, what)
	}
	p.linef("")
}

func (p *page) method() {
	p.linef("## How it is measured\n")
	p.linef("Every program is a process of its own, the ceilings too; each measurement has a new broker, and a new ClickHouse where one is")
	p.linef("needed, with nothing in them but the events. The clock starts when a tenth of the events is through, so that starting does")
	p.linef("not count, and ends with the last one, or with the last progress within the limit. CPU, peak memory and bytes written are")
	p.linef("those of /proc between the same two moments (peak memory: of all its life). A stage and its ceilings run one after the")
	p.linef("other, round by round: compare within a round, since a machine has slow and fast minutes.\n")
	p.linef("The bare relay, consumer and publisher use the same library, batches and acknowledgements as the services, with two batches")
	p.linef("under way; the bare insert stores the rows that the sink has stored once more into a table of the same kind. Progress in")
	p.linef("ClickHouse comes in batches: whoever inserts two at a time is shown up to a batch too fast.")
}
