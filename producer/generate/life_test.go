package generate_test

import (
	"encoding/json"
	"testing"

	"sluice/producer/generate"
)

// life is what a run of events says about its people.
type life struct {
	envelope
	pk       string // of the user, "" if there is none
	identity bool   // logged in, not going through a flow
	message  string
}

func lives(t *testing.T, cfg generate.Config, n int) []life {
	t.Helper()
	var all []life
	for i, e := range take(cfg, n) {
		var got envelope
		if err := json.Unmarshal(e.JSON, &got); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		l := life{envelope: got, pk: string(got.User["pk"])}
		_, anonymous := got.User["is_anonymous"]
		_, pending := got.User["authenticated_as"]
		l.identity = l.pk != "" && !anonymous && !pending && got.Action != "login_failed"
		if raw, ok := got.Context["message"]; ok {
			if err := json.Unmarshal(raw, &l.message); err != nil {
				t.Fatalf("event %d: %v", i, err)
			}
		}
		all = append(all, l)
	}
	return all
}

func TestNobodyActsAfterLogout(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		gone := map[string]bool{}
		logins := 0
		for i, l := range lives(t, generate.Config{Seed: seed}, 5000) {
			switch {
			case !l.identity:
			case l.Action == "login":
				logins++
				delete(gone, l.pk)
			case gone[l.pk]:
				t.Fatalf("seed %d, event %d: user %s does %s while logged out", seed, i, l.pk, l.Action)
			case l.Action == "logout":
				gone[l.pk] = true
			}
		}
		if logins < 500 {
			t.Errorf("seed %d: %d logins in 5000 events, want at least 500", seed, logins)
		}
	}
}

func TestImpersonationsStartAndEnd(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		started := map[string]int{} // by administrator: when
		pairs, acted := 0, 0
		for i, l := range lives(t, generate.Config{Seed: seed}, 5000) {
			_, onBehalf := l.User["on_behalf_of"]
			_, open := started[l.pk]
			switch {
			case l.Action == "impersonation_started":
				if open || !onBehalf {
					t.Fatalf("seed %d, event %d: start while impersonating (%t), or of nobody (%t)", seed, i, open, !onBehalf)
				}
				started[l.pk] = i
			case l.Action == "impersonation_ended":
				if !open || onBehalf {
					t.Fatalf("seed %d, event %d: end without a start (%t), or with the person impersonated (%t)", seed, i, !open, onBehalf)
				}
				delete(started, l.pk)
				pairs++
			case l.identity && onBehalf != open:
				t.Fatalf("seed %d, event %d: on_behalf_of is there: %t, impersonating: %t", seed, i, onBehalf, open)
			case onBehalf:
				acted++
			}
			for admin, at := range started {
				if i-at > 200 {
					t.Fatalf("seed %d: impersonation by %s has not ended 200 events after its start", seed, admin)
				}
			}
		}
		if pairs < 20 || acted < 20 {
			t.Errorf("seed %d: %d impersonations and %d events in them, want at least 20 of each", seed, pairs, acted)
		}
	}
}

func TestDeploysRepeatTheSameException(t *testing.T) {
	t.Parallel()
	counts := map[string]int{}
	for _, l := range lives(t, generate.Config{Seed: 4}, 10_000) {
		if l.Action == "system_exception" {
			counts[string(l.Context["exception"])]++
		}
	}
	repeated := 0
	for _, n := range counts {
		if n >= 6 {
			repeated++
		}
	}
	if repeated < 5 {
		t.Errorf("%d exceptions came at least 6 times, of %d; want at least 5", repeated, len(counts))
	}
}

func TestFailedLoginsComeInBursts(t *testing.T) {
	t.Parallel()
	recent := map[string][]int{}
	bursts := 0
	for i, l := range lives(t, generate.Config{Seed: 4}, 10_000) {
		if l.Action != "login_failed" {
			continue
		}
		recent[*l.ClientIP] = append(recent[*l.ClientIP], i)
		at := recent[*l.ClientIP]
		if n := len(at); n >= 5 && i-at[n-5] < 60 {
			bursts++
		}
	}
	if bursts < 50 {
		t.Errorf("%d failed logins were the fifth of one address within 60 events, want at least 50", bursts)
	}
}

func TestEveryVersionIsAnnouncedOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i, l := range lives(t, generate.Config{Seed: 4}, 10_000) {
		if l.Action != "update_available" {
			continue
		}
		version := string(l.Context["new_version"])
		if seen[version] || l.ClientIP != nil || len(l.User) != 0 {
			t.Fatalf("event %d: version %s again (%t), or not from the background", i, version, seen[version])
		}
		seen[version] = true
	}
	if len(seen) < 10_000/500 {
		t.Errorf("%d versions in 10,000 events, want at least 20", len(seen))
	}
}
