package report

import (
	"fmt"
	"strconv"
	"time"
)

// target is one line of what Sluice is to reach on two cores with everything on them.
type target struct {
	what, want, got, verdict string
}

const notMeasured = "not measured"

// The targets.
const (
	ceilingShare      = 0.8
	collectorTimes    = 10
	collectorDefaults = 3
	sustainedRate     = 20_000
	sustainedSeconds  = 300
	serviceRSS        = 256_000_000
	queryableP99      = 1200 * time.Millisecond
	alertP99          = 20 * time.Millisecond
)

func targets(r *Results, rows []*row) []target {
	times := func(what, stage, who string, want float64) target {
		return share(what, want, ratios(find(rows, stage, Sluice, PeersVariant), find(rows, stage, who, PeersVariant)), " times")
	}
	return append([]target{
		share("redact, of the bare relay", ceilingShare, toCeiling(rows, StageRedact, ""), ""),
		times("redact, of the Collector at the same guarantee", StageRedact, Collector, collectorTimes),
		times("redact, of the Collector at its defaults", StageRedact, CollectorDefault, collectorDefaults),
		share("sink, of the lower of bare consume and bare insert", ceilingShare, toCeiling(rows, StageSink, ""), ""),
	}, append(sustainedTargets(r.Sustained), latencyTargets(r.Latencies)...)...)
}

// open is a target that nothing has been measured for.
func open(what, want string) target {
	return target{what: what, want: want, got: notMeasured, verdict: notMeasured}
}

// share compares the median of ratios with what is wanted at least.
func share(what string, want float64, got []float64, unit string) target {
	t := open(what, fmt.Sprintf("at least %g%s", want, unit))
	if len(got) == 0 {
		return t
	}
	m := median(got)
	t.got = fmt.Sprintf("%.2f%s", m, unit)
	t.verdict = verdict(m >= want, fmt.Sprintf("%.2f%s (%.0f %%)", want-m, unit, 100*(want-m)/want))
	return t
}

func verdict(hit bool, by string) string {
	if hit {
		return "hit"
	}
	return "**missed** by " + by
}

func sustainedTargets(s *Sustained) []target {
	rate := open("end to end, sustained, fsynced", fmt.Sprintf("at least %s events/s for five minutes", count(sustainedRate)))
	lost := open("end to end, nothing lost", "rows = different pk = published")
	memory := open("end to end, peak memory of each service", "under 256 MB")
	if s == nil {
		return []target{rate, lost, memory}
	}
	rate.got = fmt.Sprintf("%s events/s for %.0f s", count(s.Rate()), s.Seconds)
	rate.verdict = verdict(s.Rate() >= sustainedRate,
		fmt.Sprintf("%s events/s (%.0f %%)", count(sustainedRate-s.Rate()), 100*(1-s.Rate()/sustainedRate)))
	if s.Seconds < sustainedSeconds && s.Rate() >= sustainedRate {
		rate.verdict = "not decided: shorter than five minutes"
	}
	lost.got = fmt.Sprintf("%s = %s = %s", count(float64(s.Rows)), count(float64(s.Different)), count(float64(s.Published)))
	lost.verdict = verdict(s.Rows == s.Published && s.Different == s.Published, strconv.Itoa(s.Published-s.Different))
	most, name := int64(0), ""
	for _, p := range s.Processes {
		if isService(p.Name) && p.PeakRSSBytes > most {
			most, name = p.PeakRSSBytes, p.Name
		}
	}
	memory.got = fmt.Sprintf("%s (%s)", megabytes(float64(most)), name)
	memory.verdict = verdict(most < serviceRSS, megabytes(float64(most-serviceRSS)))
	return []target{rate, lost, memory}
}

func isService(name string) bool {
	switch name {
	case "producer", "redactor", "sink", "notifier":
		return true
	}
	return false
}

func latencyTargets(all []Latency) []target {
	const at = 1000
	queryable := open("publish to queryable at 1,000 events/s, p99", "under "+duration(queryableP99))
	alert := open("publish to alert at 1,000 events/s, p99", "under "+duration(alertP99))
	for i := range all {
		l := &all[i]
		if l.Rate != at {
			continue
		}
		queryable.got, alert.got = duration(l.Queryable.P99), duration(l.Alert.P99)
		queryable.verdict = verdict(l.Queryable.P99 < queryableP99, duration(l.Queryable.P99-queryableP99))
		alert.verdict = verdict(l.Alert.P99 < alertP99 && l.AlertsMissing == 0, duration(l.Alert.P99-alertP99))
		if l.AlertsMissing > 0 {
			alert.verdict = fmt.Sprintf("**missed**: %d alerts did not come", l.AlertsMissing)
		}
		break
	}
	return []target{queryable, alert}
}
