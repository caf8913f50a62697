// Package faults proves Sluice's promises by breaking everything around it: real
// processes (the services, nats-server, the embedded ClickHouse) under a load whose
// every acknowledged event is remembered, with faults that a seed decides.
//
// It owns the schedule (plan), the faults, the load, and the checks after it:
// every acknowledged event is one row or in the quarantine, once; no planted secret
// is anywhere but in EVENTS_RAW and EVENTS_QUARANTINE; every alert that the rules
// demand is there; the backlog is gone; memory and goroutines are back; and every
// warning in a log has a fault for a cause. A seed means the same schedule by
// number of events on any machine; how long things take is the machine's.
//
// It refuses to reach into the services: it uses their binaries, their settings and
// what they show. It listens on and connects to 127.0.0.1 alone, and ends by its
// process id whatever it started.
package faults
