package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/schemas"
)

// TestFloodOfExceptions publishes one exception 10,000 times, or SLUICE_FLOOD times,
// and a thousand different ones of another app: subscribers get the few alerts that
// they are promised, analysts every event.
func TestFloodOfExceptions(t *testing.T) {
	const (
		interval  = 2 * time.Second
		different = 1000
		limit     = 10 // NOTIFIER_STORM_LIMIT's default
	)
	same := 10_000
	if n, err := strconv.Atoi(os.Getenv("SLUICE_FLOOD")); err == nil {
		same = n
	}
	s := startSystem(t, "NOTIFIER_GROUP_INTERVAL="+interval.String(), "NOTIFIER_RESOLVE_AFTER=1h")
	begun := time.Now()
	publish(s, strings.Repeat(`{"action":"system_exception","app":"same","context":{"message":"row 17 is gone"}}`+"\n", same))
	var lines strings.Builder
	for i := range different {
		fmt.Fprintf(&lines, `{"action":"system_exception","app":"many","context":{"message":"trouble %s"}}`+"\n", letters(i))
	}
	publish(s, lines.String())
	s.untilRows(same + different)
	_, js := s.connect()
	if n := streamState(t, js, schemas.StreamClean).Msgs; n != uint64(same+different) {
		t.Errorf("%d events on the clean stream, want %d", n, same+different)
	}

	var alerts, singles int
	var counted, inStorm uint64
	storms := map[string]bool{}
	s.until("every event is counted in an alert", func() error {
		alerts, singles, counted, inStorm = 0, 0, 0, 0
		clear(storms)
		for _, msg := range readAll(t, js, schemas.StreamAlerts) {
			var alert schemas.Alert
			if err := json.Unmarshal(msg.Data(), &alert); err != nil {
				t.Fatal(err)
			}
			switch d := alert.Data; {
			case d.App == "same":
				alerts, counted = alerts+1, d.Count
			case d.Different > 0:
				storms[d.Fingerprint], inStorm = true, d.Count
			default:
				singles++
			}
		}
		if got := uint64(singles) + inStorm; counted != uint64(same) || got != different {
			return fmt.Errorf("%d of the same and %d different ones", counted, got)
		}
		return nil
	})
	elapsed := time.Since(begun)
	if most := 1 + int((elapsed+interval-1)/interval); alerts > most {
		t.Errorf("%d alerts about one trouble in %s, want at most %d", alerts, elapsed, most)
	}
	if singles > limit || len(storms) != 1 {
		t.Errorf("%d single alerts and %d storms, want at most %d and one", singles, len(storms), limit)
	}
	t.Logf("%d the same: %d alerts in %s; %d different: %d single alerts, a storm of %d; %d rows",
		same, alerts, elapsed.Round(100*time.Millisecond), different, singles, inStorm, same+different)
}

// letters writes n without digits, which a fingerprint takes out.
func letters(n int) string {
	return strings.Map(func(r rune) rune { return 'g' + r - '0' }, fmt.Sprintf("%06d", n))
}
