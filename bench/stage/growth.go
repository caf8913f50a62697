package stage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/bench/peer"
	"sluice/bench/report"
)

// growth measures how the cost grows: with the events' size, with instances, with
// tenants, and with how much is there already.
func (h *Harness) growth(ctx context.Context) error {
	kib := h.standard()
	sizes := []load{h.sized("10 KB", 10_000), h.sized("100 KB", 100_000)}
	for _, l := range sizes {
		if err := h.redactPairs(ctx, l, h.cfg.PeerRounds); err != nil {
			return fmt.Errorf("%s: %w", l.variant, err)
		}
		if err := h.sinkTriples(ctx, l, h.cfg.PeerRounds); err != nil {
			return fmt.Errorf("%s: %w", l.variant, err)
		}
	}
	var redactors []load
	for _, n := range []int{2, 4} {
		l := kib
		l.variant, l.instances = fmt.Sprintf("%d redactors", n), n
		redactors = append(redactors, l)
	}
	tenants := kib
	tenants.variant, tenants.tenants = "1,000 tenants", 1000
	for _, l := range append(redactors, tenants) {
		if err := h.redactPairs(ctx, l, h.cfg.PeerRounds); err != nil {
			return fmt.Errorf("%s: %w", l.variant, err)
		}
	}
	if err := h.sinkTriples(ctx, tenants, h.cfg.PeerRounds); err != nil {
		return fmt.Errorf("%s: %w", tenants.variant, err)
	}
	if h.cfg.GrowthEvents == 0 {
		h.skip("a stream of many events", "not asked for (-stream-events)")
		return nil
	}
	large := kib
	large.variant, large.count = fmt.Sprintf("a stream of %d events", h.cfg.GrowthEvents), h.cfg.GrowthEvents
	large.limit = time.Hour // all of it, since the point is what changes on the way
	return h.redactPairs(ctx, large, 1)
}

// sized are events of a size, as many as make the bytes of the standard case.
func (h *Harness) sized(variant string, size int) load {
	const kib, least = 1100, 200
	l := h.standard()
	l.variant, l.size, l.count = variant, size, max(h.cfg.Events*kib/size, least)
	return l
}

// peers measures the others, each beside Sluice in the same round.
func (h *Harness) peers(ctx context.Context) error {
	var ready []peer.Peer
	for _, p := range peer.All(h.cfg.Bin) {
		versions, err := p.Versions(ctx)
		if err != nil {
			h.skip(p.Name(), err.Error())
			continue
		}
		h.out.Peers = append(h.out.Peers, report.Peer{Name: p.Name(), Guarantee: p.Guarantee(), Versions: versions, Sync: p.Sync()})
		ready = append(ready, p)
	}
	for round := range h.cfg.PeerRounds {
		for _, p := range ready {
			l := h.standard()
			l.variant = report.PeersVariant
			if err := h.peerOnce(ctx, l, p, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// peerOnce measures both stages. A peer that is too slow or fails is skipped, since
// the others are to be measured all the same; Sluice is not.
func (h *Harness) peerOnce(ctx context.Context, l load, p peer.Peer, round int) error {
	for stage, err := range map[string]error{
		report.StageRedact: h.redactOnce(ctx, l, p, round),
		report.StageSink:   h.sinkOnce(ctx, l, p, round, false),
	} {
		switch {
		case err == nil || errors.Is(err, peer.ErrNoStage):
		case p.Name() == report.Sluice || ctx.Err() != nil:
			return err
		default:
			h.log.Warn("not measured", "stage", stage, "error", err)
			h.skip(fmt.Sprintf("%s, %s, round %d", p.Name(), stage, round), err.Error())
		}
	}
	return nil
}
