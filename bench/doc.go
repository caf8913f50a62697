// Package bench holds the benchmarks that cross modules: an event's way through
// the parts, beside what the bare broker does in the same run. Absolute figures
// of a shared machine mean little; the ratio between two of one run does.
package bench
