package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/producer/generate"
	"sluice/schemas"
)

// publish sends events, one to a line, through the producer and holds that it
// takes them all.
func publish(s *system, ndjson string, args ...string) {
	s.t.Helper()
	want := fmt.Sprintf("published %d, duplicate 0, refused 0\n", len(strings.Split(strings.TrimSpace(ndjson), "\n")))
	stdout, stderr, code := s.run(strings.NewReader(ndjson), "producer", append([]string{"publish"}, args...)...)
	if code != 0 || !strings.HasSuffix(stdout, want) {
		s.t.Fatalf("publish: exit %d, got %q, want %q\n%s", code, stdout, want, stderr)
	}
}

// seedEvents are authentik's own five examples, one to a line.
func seedEvents(t testing.TB) string {
	t.Helper()
	var lines []string
	for _, action := range []string{"login", "login_failed", "logout", "user_write", "authorize_application"} {
		raw, err := os.ReadFile(filepath.Join("..", "schemas", "testdata", "event_"+action+".json"))
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.TrimSpace(string(raw)))
	}
	return strings.Join(lines, "\n") + "\n"
}

// unexpired gives the seed's events other ids and an expiry that lies ahead, since
// their own has passed and the table may forget them at any time.
func unexpired(ndjson string) string {
	return strings.NewReplacer(`{"pk":"`, `{"pk":"5eed0000-`, `"expires":"2023`, `"expires":"2099`, `"expires":"2024`, `"expires":"2099`).Replace(shortenPK(ndjson))
}

// shortenPK cuts the first group of each pk.
func shortenPK(ndjson string) string {
	var out strings.Builder
	for line := range strings.Lines(ndjson) {
		out.WriteString(`{"pk":"` + line[len(`{"pk":"`)+9:])
	}
	return out.String()
}

// generated makes events as the generate command does, but of today: the
// command's are always of the same day, so that a seed gives the same bytes.
func generated(n int, seed uint64) (ndjson string, secrets []generate.Secret, byAction map[string]int) {
	var out strings.Builder
	byAction = map[string]int{}
	g := generate.New(generate.Config{Seed: seed, Start: time.Now().Add(-time.Hour), Interval: 100 * time.Millisecond})
	for range n {
		ev := g.Next()
		out.Write(append(ev.JSON, '\n'))
		byAction[ev.Action]++
		secrets = append(secrets, ev.Secrets...)
	}
	return out.String(), secrets, byAction
}

func TestGenerateCommandIsThePackage(t *testing.T) {
	t.Parallel()
	p := start(t, nil, nil, "producer", "generate", "-n", "500", "-seed", "7")
	if code := p.wait(t); code != 0 {
		t.Fatalf("exit %d", code)
	}
	var want strings.Builder
	g := generate.New(generate.Config{Seed: 7})
	for range 500 {
		want.Write(append(g.Next().JSON, '\n'))
	}
	if p.stdout.String() != want.String() {
		t.Error("the command and the package differ for the same seed")
	}
}

// malformed are raw messages that break the contract, by the reason for which
// they are to be quarantined. Each holds the marker.
func malformed(marker string) map[schemas.Reason][]byte {
	deep := strings.Repeat(`[`, schemas.MaxDepth) + strings.Repeat(`]`, schemas.MaxDepth)
	return map[schemas.Reason][]byte{
		schemas.ReasonInvalidJSON:    []byte(`{"context":{"password":"` + marker + `"}`),
		schemas.ReasonNotAnObject:    []byte(`["` + marker + `"]`),
		schemas.ReasonInvalidField:   []byte(`{"pk":"` + marker + `"}`),
		schemas.ReasonActionMismatch: []byte(`{"action":"logout","context":{"password":"` + marker + `"}}`),
		schemas.ReasonTooDeep:        []byte(`{"token":"` + marker + `","context":{"a":` + deep + `}}`),
		schemas.ReasonTooLarge:       []byte(`{"password":"` + marker + strings.Repeat("x", schemas.MaxRawBytes) + `"}`),
	}
}

func TestPipeline(t *testing.T) { //nolint:tparallel // its parts look at one system, one after the other
	t.Parallel()
	const n, seed = 10_000, 42
	s := startSystem(t, "NOTIFIER_GROUP_INTERVAL=2s")
	ndjson, secrets, byAction := generated(n, seed)
	if len(secrets) < n/50 || len(byAction) != 24 {
		t.Fatalf("got %d secrets and %d actions to test with", len(secrets), len(byAction))
	}
	publish(s, seedEvents(t))
	publish(s, unexpired(seedEvents(t)))
	publish(s, ndjson)

	nc, js := s.connect()
	marker := generate.Marker(seed)
	for reason, raw := range malformed(marker) {
		if _, err := js.Publish(t.Context(), "events.raw.default.login", raw); err != nil {
			t.Fatalf("publish the one for %s: %v", reason, err)
		}
	}
	// What a plain client publishes that knows nothing but the subject.
	if err := nc.Publish("events.raw.default.password_set", []byte(`{"context":{"password":"sw0rdf1sh"}}`)); err != nil {
		t.Fatal(err)
	}
	s.untilRows(n + 5 + 1)

	t.Run("rows", func(t *testing.T) { checkRows(t, s, byAction) })
	t.Run("clean stream", func(t *testing.T) { checkCleanStream(t, js, n+5+5+1) })
	t.Run("alerts", func(t *testing.T) { checkAlerts(t, s, js, byAction) })
	t.Run("quarantine", func(t *testing.T) { checkQuarantine(t, s, js, marker) })
	t.Run("raw stream is empty", func(t *testing.T) {
		s.until("every raw event is gone", func() error {
			if left := streamState(t, js, schemas.StreamRaw).Msgs; left != 0 {
				return fmt.Errorf("%d are left", left)
			}
			return nil
		})
	})
	t.Run("no secret anywhere", func(t *testing.T) { checkNoSecret(t, s, secrets, marker) })
	checkTTL(s)
}

func checkRows(t *testing.T, s *system, byAction map[string]int) {
	t.Helper()
	for action, count := range byAction {
		want := count
		switch action {
		case "login", "login_failed", "logout", "user_write", "authorize_application", "password_set":
			want++ // the seed's five and the plain client's
		}
		if got := s.must("SELECT count() FROM sluice.events WHERE action = '" + action + "'"); got != strconv.Itoa(want) {
			t.Errorf("%s: got %s rows, want %d", action, got, want)
		}
	}
	got := s.must("SELECT context, redacted, tenant, created BETWEEN now() - 60 AND now() + 1, expires = created + INTERVAL 365 DAY " +
		"FROM sluice.events WHERE action = 'password_set' AND user = '{}'")
	if want := `{"password":"********************"}` + "\t['/context/password']\tdefault\t1\t"; !strings.HasPrefix(got, want) {
		t.Errorf("the plain client's row: got %q, want %q", got, want)
	}
	got = s.must("SELECT app, created, expires, user_pk, username, user_email, client_ip, brand_name, ctx.authorized_application.name, ctx.geo.lat " +
		"FROM sluice.events WHERE pk = '5eed0000-dc2a-4f1e-afea-ad5af90bf680'")
	want := "authentik.providers.oauth2.views.authorize\t2023-02-15 10:02:48.615499\t" +
		"2099-04-26 10:02:48\t1\takadmin\troot@localhost\t::1\tDefault brand\tAlertmanager\t42"
	if got != want {
		t.Errorf("the seed's row: got %q, want %q", got, want)
	}
}

func streamState(t *testing.T, js jetstream.JetStream, name string) jetstream.StreamState {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatalf("look up %s: %v", name, err)
	}
	return stream.CachedInfo().State
}

// readAll reads a stream from its first message to its present last one.
func readAll(t *testing.T, js jetstream.JetStream, name string) []jetstream.Msg {
	t.Helper()
	left := streamState(t, js, name).Msgs
	consumer, err := js.OrderedConsumer(t.Context(), name, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	defer messages.Stop()
	all := make([]jetstream.Msg, 0, left)
	for ; left > 0; left-- {
		msg, err := messages.Next(jetstream.NextMaxWait(20 * time.Second))
		if err != nil {
			t.Fatalf("read %s: %v", name, err)
		}
		all = append(all, msg)
	}
	return all
}

func checkCleanStream(t *testing.T, js jetstream.JetStream, want int) {
	t.Helper()
	seen := map[string]bool{}
	verbatim := map[string]bool{} // authentik's examples hold nothing to mask
	for line := range strings.SplitSeq(strings.TrimSpace(seedEvents(t)), "\n") {
		verbatim[line] = true
	}
	for _, msg := range readAll(t, js, schemas.StreamClean) {
		delete(verbatim, string(msg.Data()))
		var ev struct {
			PK     string `json:"pk"`
			Action string `json:"action"`
		}
		if err := json.Unmarshal(msg.Data(), &ev); err != nil {
			t.Fatalf("message on %s is not JSON: %v", msg.Subject(), err)
		}
		id := msg.Headers().Get(jetstream.MsgIDHeader)
		if ev.PK != id || msg.Subject() != schemas.CleanSubject("default", ev.Action) {
			t.Errorf("on %s: message id %s, pk %s, action %s", msg.Subject(), id, ev.PK, ev.Action)
		}
		if seen[id] {
			t.Errorf("event %s is there twice", id)
		}
		seen[id] = true
	}
	if len(seen) != want || len(verbatim) != 0 {
		t.Errorf("got %d events, want %d; %d of authentik's examples did not come out as they went in", len(seen), want, len(verbatim))
	}
}

func checkAlerts(t *testing.T, s *system, js jetstream.JetStream, byAction map[string]int) {
	t.Helper()
	counts := map[string]uint64{}
	s.until("the alerts count every exception", func() error {
		firing, last := map[string]int{}, map[string]schemas.AlertData{}
		for _, msg := range readAll(t, js, schemas.StreamAlerts) {
			var alert schemas.Alert
			if err := json.Unmarshal(msg.Data(), &alert); err != nil {
				t.Fatalf("alert is not JSON: %v", err)
			}
			d := alert.Data
			if msg.Subject() != schemas.AlertSubject("default", d.Severity, d.Action) || alert.ID != msg.Headers().Get(jetstream.MsgIDHeader) || alert.SpecVersion != "1.0" {
				t.Fatalf("alert %s on %s: id and subject do not fit it", alert.ID, msg.Subject())
			}
			if alert.Type == schemas.AlertFiring {
				firing[d.Fingerprint]++
			}
			last[d.Fingerprint] = d
		}
		clear(counts)
		for fingerprint, d := range last {
			if firing[fingerprint] != 1 {
				t.Fatalf("%s fired %d times", fingerprint, firing[fingerprint])
			}
			counts[d.Action] += d.Count
		}
		if want := uint64(byAction["system_exception"]); counts["system_exception"] != want {
			return fmt.Errorf("got %d, want %d", counts["system_exception"], want)
		}
		return nil
	})
	if counts["update_available"] == 0 {
		t.Error("no alert about an update")
	}
}

func checkQuarantine(t *testing.T, s *system, js jetstream.JetStream, marker string) {
	t.Helper()
	want := malformed(marker)
	s.until("all are quarantined", func() error {
		if got := streamState(t, js, schemas.StreamQuarantine).Msgs; got != uint64(len(want)) {
			return fmt.Errorf("got %d, want %d", got, len(want))
		}
		return nil
	})
	for _, msg := range readAll(t, js, schemas.StreamQuarantine) {
		reason := schemas.Reason(msg.Headers().Get(schemas.HeaderReason))
		if msg.Subject() != schemas.QuarantineSubject("default", reason) || !bytes.Equal(msg.Data(), want[reason]) {
			t.Errorf("on %s with reason %q: not the message that was published", msg.Subject(), reason)
		}
		delete(want, reason)
	}
	for reason := range want {
		t.Errorf("nothing was quarantined for %s", reason)
	}
}

// checkNoSecret looks for every planted secret wherever the system puts things
// but in the two streams that may hold them.
func checkNoSecret(t *testing.T, s *system, secrets []generate.Secret, marker string) {
	t.Helper()
	needles := []string{marker, "sw0rdf1sh"}
	for _, secret := range secrets {
		if !strings.Contains(secret.Encoded, marker) {
			needles = append(needles, secret.Value) // numbers carry no marker
		}
	}
	rows := s.must("SELECT * FROM sluice.events FORMAT JSONEachRow")
	if !strings.Contains(rows, schemas.Mask) {
		t.Fatal("the rows hold no mask: this looked at nothing")
	}
	leaks(t, "the rows", rows, needles)
	leaks(t, "what standalone printed", s.printed(), needles)
	searched := 0
	err := filepath.WalkDir(s.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if entry != nil && (entry.Name() == schemas.StreamRaw || entry.Name() == schemas.StreamQuarantine) {
				return filepath.SkipDir
			}
			return nil // merges and the broker remove files as we walk
		}
		content, err := os.ReadFile(path)
		if err == nil {
			searched++
			rel, _ := filepath.Rel(s.dir, path)
			leaks(t, rel, string(content), needles)
		}
		return nil
	})
	if err != nil || searched < 20 {
		t.Fatalf("searched %d files (%v)", searched, err)
	}
}

// leaks reports where a secret is, without printing it.
func leaks(t *testing.T, where, text string, needles []string) {
	t.Helper()
	for i, needle := range needles {
		if at := strings.Index(text, needle); at >= 0 {
			t.Errorf("%s: secret %d is there at byte %d", where, i, at)
			return
		}
	}
}

func checkTTL(s *system) {
	s.t.Helper()
	publish(s, `{"pk":"11111111-1111-4111-8111-111111111111","action":"login","expires":"2024-01-01T00:00:00Z"}
{"pk":"22222222-2222-4222-8222-222222222222","action":"login","expires":"2099-01-01T00:00:00Z"}
`)
	s.untilAnswer("SELECT count() FROM sluice.events WHERE pk = '22222222-2222-4222-8222-222222222222'", "1")
	s.exec("OPTIMIZE TABLE sluice.events FINAL")
	s.untilAnswer("SELECT groupArray(toString(pk)) FROM sluice.events WHERE pk IN ('11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222')",
		"['22222222-2222-4222-8222-222222222222']")
}
