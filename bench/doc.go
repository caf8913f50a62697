// Package bench holds the benchmarks that cross modules: an event's way through
// the parts, beside what the bare broker does in the same run. Absolute figures
// of a shared machine mean little; the ratio between two of one run does.
//
// The command bench in cmd/bench measures the same with real processes, end to end and
// beside peers, and writes RESULTS.md (make bench); the benchmarks of this package are
// for looking at one part (make microbench).
package bench
