package report

import (
	"cmp"
	"slices"
)

// row is all rounds of one contender in one stage and variant.
type row struct {
	stage, who, variant string
	rates               []float64 // by round, in order
	rounds              []int
	bytesPerSecond      float64 // median
	processes           []cost
}

// cost is what one process costs, the median of all rounds but for the peak.
type cost struct {
	name             string
	cpuPerMillion    float64 // CPU seconds for a million events
	writtenPerEvent  float64 // bytes
	peakRSSBytes     int64
	cpuSecondsPerSec float64 // how many cores it keeps busy
}

// summary are the rows in the order in which they were first measured.
func summary(r *Results) []*row {
	var rows []*row
	byKey := map[[3]string]*row{}
	group := map[*row][]Measurement{}
	for _, m := range r.Measurements {
		key := [3]string{m.Stage, m.Who, m.Variant}
		if byKey[key] == nil {
			byKey[key] = &row{stage: m.Stage, who: m.Who, variant: m.Variant}
			rows = append(rows, byKey[key])
		}
		group[byKey[key]] = append(group[byKey[key]], m)
	}
	for _, row := range rows {
		row.add(group[row])
	}
	return rows
}

func (r *row) add(rounds []Measurement) {
	var bytes []float64
	for i := range rounds {
		m := &rounds[i]
		r.rates, r.rounds = append(r.rates, m.Rate()), append(r.rounds, m.Round)
		bytes = append(bytes, float64(m.Bytes)/m.Seconds)
	}
	r.bytesPerSecond = median(bytes)
	for p, first := range rounds[0].Processes {
		c := cost{name: first.Name}
		var cpu, written, busy []float64
		for i := range rounds {
			if p >= len(rounds[i].Processes) {
				continue
			}
			u, n := rounds[i].Processes[p].Usage, float64(rounds[i].Events)
			cpu = append(cpu, u.CPU.Seconds()/n*1e6)
			written = append(written, float64(u.WrittenBytes)/n)
			busy = append(busy, u.CPU.Seconds()/rounds[i].Seconds)
			c.peakRSSBytes = max(c.peakRSSBytes, u.PeakRSSBytes)
		}
		c.cpuPerMillion, c.writtenPerEvent, c.cpuSecondsPerSec = median(cpu), median(written), median(busy)
		r.processes = append(r.processes, c)
	}
}

func (r *row) median() float64 { return median(r.rates) }

func find(rows []*row, stage, who, variant string) *row {
	for _, r := range rows {
		if r.stage == stage && r.who == who && r.variant == variant {
			return r
		}
	}
	return nil
}

// ratios divides two rows round by round, since what disturbs the machine disturbs both
// of a round alike. A round that one of them lacks does not count.
func ratios(of, by *row) []float64 {
	if of == nil || by == nil {
		return nil
	}
	var out []float64
	for i, round := range of.rounds {
		if j := slices.Index(by.rounds, round); j >= 0 && by.rates[j] > 0 {
			out = append(out, of.rates[i]/by.rates[j])
		}
	}
	return out
}

// ceilings are what bounds a stage.
var ceilings = map[string][]string{
	StagePublish: {BarePublish}, StageRedact: {BareRelay}, StageSink: {BareConsume, BareInsert},
}

// toCeiling is Sluice's rate over the lowest ceiling of the same round, for each round
// that has all of them.
func toCeiling(rows []*row, stage, variant string) []float64 {
	of := find(rows, stage, Sluice, variant)
	var all [][]float64
	for _, name := range ceilings[stage] {
		r := ratios(of, find(rows, stage, name, variant))
		if len(r) == 0 || len(r) != len(of.rates) {
			return nil
		}
		all = append(all, r)
	}
	out := slices.Clone(all[0])
	for _, other := range all[1:] {
		for i := range out {
			out[i] = max(out[i], other[i]) // the lower ceiling gives the higher ratio
		}
	}
	return out
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare[float64])
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}
