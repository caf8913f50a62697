package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// link is a connection between two processes that can be disturbed.
type link struct {
	name  string
	proxy *toxiproxy.Proxy
}

// newLinks returns what makes links.
func newLinks() func(name, upstream string) (*link, error) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // some toxics log by themselves
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	return func(name, upstream string) (*link, error) {
		l := &link{name: name, proxy: toxiproxy.NewProxy(server, name, "127.0.0.1:0", upstream)}
		if err := l.proxy.Start(); err != nil {
			return nil, fmt.Errorf("open link %s: %w", name, err)
		}
		return l, nil
	}
}

func (l *link) addr() string { return l.proxy.Listen }

// toxic is what toxiproxy takes as JSON.
type toxic struct {
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Stream     string         `json:"stream"`
	Attributes map[string]any `json:"attributes"`
}

// toxicsOf are the toxics of a kind of fault.
func toxicsOf(kind string, dice uint64) []toxic {
	direction := []string{"upstream", "downstream"}[dice%2]
	other := []string{"upstream", "downstream"}[1-dice%2]
	switch kind {
	case "slow":
		return []toxic{
			{"latency", "latency", direction, map[string]any{"latency": 50 + dice%400, "jitter": 50}},
			{"bandwidth", "bandwidth", other, map[string]any{"rate": 100 + dice%900}}, // KB/s
		}
	case "reset":
		return []toxic{{"reset", "reset_peer", direction, map[string]any{"timeout": dice % 200}}}
	case "half": // one direction is dead and nobody closes anything
		return []toxic{{"half", "timeout", direction, map[string]any{"timeout": 0}}}
	case "torn": // closed after some bytes, in the middle of a message
		return []toxic{
			{"torn", "limit_data", direction, map[string]any{"bytes": 1 + dice%200_000}},
			{"slices", "slicer", other, map[string]any{"average_size": 1000, "size_variation": 500, "delay": 10}},
		}
	}
	return nil
}

// disturb disturbs the link for a while.
func (l *link) disturb(ctx context.Context, kind string, d time.Duration, dice uint64) error {
	if kind == "cut" {
		l.proxy.Stop()
		pause(ctx, d)
		if err := l.proxy.Start(); err != nil {
			return fmt.Errorf("mend link %s: %w", l.name, err)
		}
		return nil
	}
	toxics := toxicsOf(kind, dice)
	for _, t := range toxics {
		body, err := json.Marshal(t)
		if err != nil {
			return err
		}
		if _, err := l.proxy.Toxics.AddToxicJson(bytes.NewReader(body)); err != nil {
			return fmt.Errorf("disturb link %s: %w", l.name, err)
		}
	}
	pause(ctx, d)
	for _, t := range toxics {
		if err := l.proxy.Toxics.RemoveToxic(context.WithoutCancel(ctx), t.Name); err != nil {
			return fmt.Errorf("mend link %s: %w", l.name, err)
		}
	}
	return nil
}

func (l *link) close() { l.proxy.Stop() }

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
