package notifier

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"time"

	"sluice/internal/broker"
	"sluice/notifier/receiver"
	"sluice/notifier/rules"
	"sluice/schemas"
)

// reloader reads the rules again when it is asked to.
type reloader struct {
	file      string
	conn      *broker.Conn
	receivers chan<- []receiver.Receiver
	metrics   *metrics
	log       *slog.Logger
}

// run hands each new set of rules over until ctx ends.
func (r *reloader) run(ctx context.Context, asked <-chan os.Signal, sets chan<- *rules.Set) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
		}
		set, receivers, err := loadFile(r.file)
		if err != nil {
			r.metrics.reloadFailed.Inc()
			for line := range strings.Lines(err.Error()) {
				r.log.Error("rules not read; the old ones stay in force", "setting", "NOTIFIER_CONFIG", "error", strings.TrimSpace(line))
			}
			continue
		}
		// Receivers first: an alert that names a new one waits for it in ALERTS, but
		// rules are not to name one that is gone.
		if !hand(ctx, r.receivers, receivers) || !hand(ctx, sets, set) {
			return
		}
		r.follow(ctx, set)
		r.metrics.reloadOK.Inc()
		r.log.Info("rules read", "rules", len(set.Rules), "file", r.file, "actions", shownActions(set))
	}
}

// hand gives v away, and tells whether it did so before ctx ended.
func hand[T any](ctx context.Context, to chan<- T, v T) bool {
	select {
	case to <- v:
		return true
	case <-ctx.Done():
		return false
	}
}

const followAgain = 2 * time.Second

// follow has the consumer deliver what the rules are about. Rules first: what a
// wider consumer delivers is to meet them.
func (r *reloader) follow(ctx context.Context, set *rules.Set) {
	for {
		_, err := r.conn.EnsureConsumer(ctx, schemas.NotifierConsumer(set.Actions()...))
		if err == nil || ctx.Err() != nil {
			return
		}
		r.log.Error("rules are in force, but events of new actions do not come yet; it is tried until it works", "error", err)
		pause(ctx, followAgain)
	}
}

func shownActions(set *rules.Set) []string {
	if actions := set.Actions(); actions != nil {
		return actions
	}
	return []string{"*"}
}
