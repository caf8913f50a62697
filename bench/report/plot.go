package report

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"time"
)

// The plot's measures in pixels.
const (
	plotWidth  = 860
	labelWidth = 270
	barHeight  = 16
	barGap     = 8
	groupGap   = 18
	margin     = 24
	valueWidth = 150
)

// style has both backgrounds: whoever shows the plot decides.
const style = `<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 15px }
.note { fill: #59636e; font-size: 12px }
.paper { fill: #ffffff }
.sluice { fill: #0b6bcb } .ceiling { fill: #9aa4ae } .peer { fill: #c2711a }
.p50 { fill: #0b6bcb } .p99 { fill: #6a4fb6 } .p999 { fill: #c2711a }
.rule { stroke: #d1d9e0 } .range { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .note { fill: #9198a1 } .paper { fill: #0d1117 }
.sluice { fill: #4c9be8 } .ceiling { fill: #656c76 } .peer { fill: #e09b4d }
.p50 { fill: #4c9be8 } .p99 { fill: #a78bfa } .p999 { fill: #e09b4d }
.rule { stroke: #3d444d } .range { stroke: #e6edf3 }
}
</style>
`

// drawing grows downwards.
type drawing struct {
	strings.Builder

	y float64
}

func (d *drawing) text(x float64, class, anchor, text string) {
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, d.y, class, anchor, html.EscapeString(text))
}

// Plot draws results.svg: events per second with their range, and latencies.
func Plot(r *Results) string {
	d := &drawing{y: margin + 8}
	d.rates(summary(r))
	d.latencies(r.Latencies)
	height := d.y + margin/2
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%.0f" viewBox="0 0 %d %.0f" role="img">`+"\n"+
		"<title>Sluice: events per second beside ceilings and peers, and latencies</title>\n%s"+
		`<rect class="paper" width="100%%" height="100%%"/>`+"\n%s</svg>\n", plotWidth, height, plotWidth, height, style, d.String())
}

func (d *drawing) rates(rows []*row) {
	groups := []struct{ title, stage, variant string }{
		{"publish", StagePublish, ""},
		{"redact", StageRedact, ""},
		{"sink", StageSink, ""},
		{"redact, beside the peers", StageRedact, PeersVariant},
		{"sink, beside the peers", StageSink, PeersVariant},
	}
	most := 0.0
	for _, r := range rows {
		if r.variant == "" || r.variant == PeersVariant {
			most = max(most, slices.Max(r.rates))
		}
	}
	if most == 0 {
		d.text(margin, "title", "start", "Nothing has been measured yet")
		d.y += groupGap
		return
	}
	d.text(margin, "title", "start", "Events of 1 KB per second: the median, and the range of all rounds")
	d.y += groupGap + 6
	scale := (plotWidth - labelWidth - 2*margin - valueWidth) / most
	for _, g := range groups {
		var mine []*row
		for _, r := range rows {
			if r.stage == g.stage && r.variant == g.variant {
				mine = append(mine, r)
			}
		}
		if len(mine) == 0 {
			continue
		}
		d.text(margin, "note", "start", g.title)
		d.y += barGap
		for _, r := range mine {
			d.bar(r, scale)
		}
		d.y += groupGap
	}
}

func (d *drawing) bar(r *row, scale float64) {
	class := "ceiling"
	switch {
	case r.who == Sluice:
		class = "sluice"
	case r.variant == PeersVariant:
		class = "peer"
	}
	x, low, high := float64(margin+labelWidth), slices.Min(r.rates)*scale, slices.Max(r.rates)*scale
	fmt.Fprintf(d, `<rect x="%.1f" y="%.1f" width="%.1f" height="%d" class="%s"/>`+"\n", x, d.y, r.median()*scale, barHeight, class)
	middle := d.y + barHeight/2
	fmt.Fprintf(d, `<path d="M%.1f %.1fH%.1f" class="range"/>`+"\n", x+low, middle, x+high)
	d.y += barHeight - 4
	d.text(x-8, "", "end", r.who)
	d.text(x+max(high, r.median()*scale)+8, "", "start", count(r.median()))
	d.y += 4 + barGap
}

// latencies are drawn on a logarithmic axis from one millisecond on.
func (d *drawing) latencies(all []Latency) {
	if len(all) == 0 {
		return
	}
	d.y += groupGap
	d.text(margin, "title", "start", "Latency from when an event was due: p50, p99 and p99.9")
	d.y += groupGap + 4
	const least, decades = time.Millisecond, 4
	x, width := float64(margin+labelWidth), float64(plotWidth-labelWidth-2*margin-30)
	at := func(v time.Duration) float64 {
		return x + min(max(math.Log10(float64(v)/float64(least)), 0), decades)/decades*width
	}
	top := d.y + 6
	for v := least; v <= 10*time.Second; v *= 10 {
		label := fmt.Sprintf("%d ms", v.Milliseconds())
		if v >= time.Second {
			label = fmt.Sprintf("%d s", int(v.Seconds()))
		}
		d.text(at(v), "note", "middle", label)
	}
	d.y += groupGap + 6
	var dots strings.Builder
	for i := range all {
		l := &all[i]
		d.text(margin, "note", "start", fmt.Sprintf("%s: %s events/s", l.Name, count(l.Rate)))
		d.y += groupGap + 2
		for _, s := range l.summaries() {
			of := [3]time.Duration{s.of.P50, s.of.P99, s.of.P999}
			d.text(x-8, "", "end", "publish → "+s.name)
			fmt.Fprintf(&dots, `<path d="M%.1f %.1fH%.1f" class="range"/>`+"\n", at(of[0]), d.y-4, at(of[2]))
			for k, class := range []string{"p50", "p99", "p999"} {
				fmt.Fprintf(&dots, `<circle cx="%.1f" cy="%.1f" r="5" class="%s"><title>%s</title></circle>`+"\n", at(of[k]), d.y-4, class, duration(of[k]))
			}
			d.y += groupGap + 4
		}
		d.y += barGap
	}
	for v := least; v <= 10*time.Second; v *= 10 {
		fmt.Fprintf(d, `<path d="M%.1f %.1fV%.1f" class="rule"/>`+"\n", at(v), top, d.y-groupGap)
	}
	fmt.Fprint(d, dots.String())
	for i, class := range []string{"p50", "p99", "p999"} {
		left := x + float64(i)*90
		fmt.Fprintf(d, `<circle cx="%.1f" cy="%.1f" r="5" class="%s"/>`+"\n", left, d.y-4, class)
		d.text(left+10, "note", "start", []string{"p50", "p99", "p99.9"}[i])
	}
	d.y += groupGap
}
