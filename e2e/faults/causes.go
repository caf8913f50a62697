package faults

import (
	"slices"
	"strings"
	"time"
)

// cause says which kinds of faults, and against whom, explain a line of that role
// that begins so. Of the targets "broker" and "clickhouse" stand for the links to
// them too, and "self" for the process that speaks.
type cause struct {
	role, begins string
	// always tells that the load itself explains it: there are bad events in it.
	always  bool
	targets []string
	kinds   []string
}

// What makes a connection, or the process at its other end, fail.
var (
	broken = []string{"dying", "kill", "crash", "restart", "outage", "stop", "freeze", "power", "full", "slow", "cut", "reset", "half", "torn"}
)

// causes is what services and servers say under faults, and why they may.
var causes = []cause{
	{begins: "broker connection lost", targets: []string{"broker", "self"}, kinds: broken},
	{begins: "broker reported an error", targets: []string{"broker", "self"}, kinds: broken},
	{begins: "broker did not take the last acknowledgements", targets: []string{"broker", "self"}, kinds: broken},
	{begins: "acknowledge; ", targets: []string{"broker", "self"}, kinds: broken},
	{begins: "fetch; trying again", targets: []string{"broker", "self"}, kinds: append([]string{"forget"}, broken...)},
	{begins: "hand back a message", targets: []string{"broker", "self"}, kinds: broken},

	{role: "redactor", begins: "events quarantined", always: true},
	{role: "redactor", begins: "events that were refused cannot be quarantined", targets: []string{"broker"}, kinds: broken},
	{role: "redactor", begins: "redacted events are not removed for now", targets: []string{"broker", "redactor"}, kinds: append([]string{"forget"}, broken...)},
	{role: "redactor", begins: "clean events cannot be stored; waiting", targets: []string{"broker", "self"}, kinds: broken},
	{role: "redactor", begins: "clean events past the replay window are not removed", targets: []string{"broker", "sink", "notifier"}, kinds: append([]string{"forget"}, broken...)},
	{role: "redactor", begins: "fetching ended; beginning again", targets: []string{"redactor", "broker"}, kinds: append([]string{"forget"}, broken...)},
	{role: "redactor", begins: "raw events were gone", targets: []string{"EVENTS_RAW"}, kinds: []string{"purge"}},

	{role: "sink", begins: "ask the broker whose turn it is", targets: []string{"broker", "self"}, kinds: broken},
	{role: "sink", begins: "write down a batch; trying again", targets: []string{"broker", "self"}, kinds: broken},
	{role: "sink", begins: "pass the turn to store on", targets: []string{"broker"}, kinds: broken},
	{role: "sink", begins: "the broker is away; trying again", targets: []string{"broker"}, kinds: broken},
	{role: "sink", begins: "another sink stores now", targets: []string{"broker", "self"}, kinds: broken},
	{role: "sink", begins: "reading the stream again", targets: []string{"broker", "self"}, kinds: append([]string{"steal", "forget"}, broken...)},
	{role: "sink", begins: "not all of a planned batch", targets: []string{"EVENTS_CLEAN"}, kinds: []string{"purge"}},
	{role: "sink", begins: "clean events were gone", targets: []string{"EVENTS_CLEAN"}, kinds: []string{"purge"}},
	{role: "sink", begins: "clickhouse does not take events", targets: []string{"clickhouse"}, kinds: append([]string{"table"}, broken...)},
	{role: "sink", begins: "waiting for ClickHouse", targets: []string{"clickhouse"}, kinds: broken},
	{role: "sink", begins: "migrate; trying again", targets: []string{"clickhouse"}, kinds: broken},
	{role: "sink", begins: "count the rows", targets: []string{"clickhouse"}, kinds: append([]string{"table"}, broken...)},
	{role: "sink", begins: "stopping before everything is stored", targets: []string{"clickhouse", "broker"}, kinds: append([]string{"table"}, broken...)},

	{role: "notifier", begins: "alerts are delayed", targets: []string{"broker", "self"}, kinds: broken},
	{role: "notifier", begins: "stopping before everything was stored", targets: []string{"broker"}, kinds: broken},
	{role: "notifier", begins: "the receiver does not take alerts", targets: []string{"notifier-receiver"}, kinds: broken},
	{role: "notifier", begins: "deliver alerts; trying again", targets: []string{"broker", "self"}, kinds: broken},
	{role: "notifier", begins: "mark the receiver as enabled", targets: []string{"broker"}, kinds: broken},

	{role: "door", begins: "some requests were not answered in time", targets: []string{"broker", "self"}, kinds: broken},

	{role: "clickhouse", begins: "cancel statement", targets: []string{"clickhouse", "sink"}, kinds: broken},

	// nats-server's own words on a machine that is busy, and after it was killed, filled up or cut off.
	{role: "broker", begins: "Internal subscription on", always: true},
	{role: "broker", begins: "Readloop processing time", always: true},
	{role: "broker", begins: "JetStream failed to store a msg", targets: []string{"broker"}, kinds: []string{"full"}},
	{role: "broker", begins: "JetStream stream", targets: []string{"broker"}, kinds: []string{"full"}},
	{role: "broker", begins: "Filestore [", targets: []string{"broker"}, kinds: broken},
}

// links that lead to a server, by its name.
var linksTo = map[string][]string{
	"broker":     {"producer-broker", "redactor-broker", "sink-broker", "notifier-broker"},
	"clickhouse": {"sink-clickhouse", "sink"}, // dying is noted under the sink
}

// after is how long after the end of a fault it still explains what is said: the
// consumers' acknowledgement wait, and the waits between attempts.
const after = 45 * time.Second

// explained tells whether a fault explains the line.
func (r *runner) explained(name string, line logLine) bool {
	for _, c := range causes {
		if c.role != "" && c.role != role(name) || !strings.HasPrefix(line.class, c.begins) {
			continue
		}
		if c.always || r.during(line.at, c.kinds, targets(name, c.targets)) {
			return true
		}
		for _, m := range r.moved { // it may have been said by a clock that was wrong
			if m.target == name && r.during(line.at.Add(-m.by), c.kinds, targets(name, c.targets)) {
				return true
			}
		}
	}
	return false
}

// targets are the names of what the cause means.
func targets(name string, means []string) []string {
	var all []string
	for _, target := range means {
		if target == "self" {
			target = role(name)
		}
		all = append(all, target)
		for _, link := range linksTo[target] {
			if target != "broker" || link == role(name)+"-broker" || role(name) == "door" && link == "producer-broker" {
				all = append(all, link)
			}
		}
	}
	return all
}

// during tells whether such a fault was on, or had just been.
func (r *runner) during(at time.Time, kinds, targets []string) bool {
	for _, i := range r.injected {
		if i.Skipped || !slices.Contains(kinds, i.Kind) || len(targets) > 0 && !slices.Contains(targets, role(i.Target)) {
			continue
		}
		end := i.Ended
		if i.Recovered.After(end) {
			end = i.Recovered
		}
		if at.IsZero() || !at.Before(i.Began.Add(-2*time.Second)) && !at.After(end.Add(after)) {
			return true
		}
	}
	return false
}

// excusedEnd tells whether a fault explains that a process has ended by itself: a
// service gives up a start when the broker is not there for NATS_CONNECT_WAIT, and
// a sink whose consumer is deleted begins anew.
func (r *runner) excusedEnd(name string, at time.Time) bool {
	switch role(name) {
	case "redactor", "sink", "notifier", "door", "publish":
		return r.during(at, []string{"kill", "outage", "power", "full", "stop", "cut", "half", "reset", "torn", "forget", "dying"}, nil)
	}
	return false
}
