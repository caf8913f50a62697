package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAuthentikLogs feeds one log in every shape that compose, Docker and Kubernetes
// give it, twice: three events, three rows.
func TestAuthentikLogs(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	logs, err := filepath.Glob(filepath.Join("..", "producer", "authentik", "testdata", "*.log"))
	if err != nil || len(logs) < 10 {
		t.Fatal(logs, err)
	}
	first := filepath.Join("..", "producer", "authentik", "testdata", "compose.log")
	feed := func(want string, args ...string) {
		t.Helper()
		stdout, stderr, code := s.run(nil, "producer", append([]string{"authentik"}, args...)...)
		if code != 0 || stdout != want {
			t.Errorf("%v: exit %d, got %q, want %q\n%s", args, code, stdout, want, stderr)
		}
	}
	feed("published 3, duplicate 0, refused 0, skipped 6\n", first)
	feed("published 0, duplicate 3, refused 0, skipped 6\n", first)
	for _, log := range logs {
		stdout, stderr, code := s.run(nil, "producer", "authentik", log)
		if code != 0 || !strings.HasPrefix(stdout, "published 0, duplicate 3, refused 0, skipped ") {
			t.Errorf("%s: exit %d, %s%s", log, code, stdout, stderr)
		}
	}
	state := filepath.Join(t.TempDir(), "state.json")
	feed("published 0, duplicate 3, refused 0, skipped 6\n", "-state", state, first)
	feed("published 0, duplicate 0, refused 0, skipped 0\n", "-state", state, first)

	// The third event is of 2023 and past its retention: a row for a moment at most.
	want := "login_failed\tauthentik\takadmin\t203.0.113.77\t2026-08-30 19:25:26.527644\t127.0.0.1:19000\n" +
		"update_available\tauthentik\t\t::\t2026-08-30 19:30:00.000012\t"
	s.untilAnswer("SELECT action, app, username, replaceOne(toString(client_ip), '::ffff:', ''), created, "+
		"JSONExtractString(extra, 'log', 'host') FROM sluice.events ORDER BY created", want)
}

// TestAuthentikAPI fetches from an authentik that is seen from outside, and holds
// that its token is nowhere.
func TestAuthentikAPI(t *testing.T) {
	t.Parallel()
	const token = "ak-hunter2hunter2hunter2"
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token || r.URL.Path != "/api/v3/events/events/" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		events := strings.ReplaceAll(strings.TrimSpace(unexpired(seedEvents(t))), "\n", ",")
		_, _ = fmt.Fprintf(w, `{"pagination":{"next":0,"previous":0,"count":5,"current":1,"total_pages":1,"start_index":1,"end_index":5},"results":[%s]}`, events)
	}))
	defer api.Close()
	s := startSystem(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"published 5, duplicate 0, refused 0, skipped 0\n", "published 0, duplicate 5, refused 0, skipped 0\n"} {
		p := start(t, nil, append(s.as("producer-default"), "PRODUCER_AUTHENTIK_URL="+api.URL, "PRODUCER_AUTHENTIK_TOKEN_FILE="+file, "LOG_LEVEL=debug"), "producer", "authentik-api")
		code := p.wait(t)
		if got := p.stdout.String(); code != 0 || got != want {
			t.Errorf("exit %d, got %q, want %q", code, got, want)
		}
		if strings.Contains(p.stdout.String()+p.stderr.String(), "hunter2") {
			t.Error("the token is printed")
		}
	}
	s.untilRows(5)
}

// TestDeparturesAreStoredAndCounted holds that a context unlike its schema is stored
// all the same.
func TestDeparturesAreStoredAndCounted(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	publish(s, `{"action":"login","context":{"auth_method":7}}`)
	s.untilRows(1)
	s.until("the departure is counted", func() error {
		text, err := s.body("http://" + s.http + "/metrics")
		if err == nil && !strings.Contains(text, `sink_schema_departures_total{action="login"} 1`) {
			err = errors.New("it is not")
		}
		return err
	})
}

// TestValidateWhatGenerateMakes holds that every generated event is as its schema
// says, raw and redacted, and authentik's own examples too.
func TestValidateWhatGenerateMakes(t *testing.T) {
	t.Parallel()
	check := func(ndjson string, n int) {
		t.Helper()
		p := start(t, strings.NewReader(ndjson), nil, "producer", "validate")
		code := p.wait(t)
		if want := fmt.Sprintf("valid %d, departing 0, refused 0\n", n); code != 0 || p.stdout.String() != want {
			t.Errorf("exit %d, %s", code, tail(p.stdout.String()))
		}
	}
	check(seedEvents(t), 5)
	for seed := range uint64(4) {
		ndjson, _, _ := generated(5000, seed)
		check(ndjson, 5000)
		p := start(t, strings.NewReader(ndjson), nil, "redactor", "filter")
		if code := p.wait(t); code != 0 {
			t.Fatalf("filter: exit %d", code)
		}
		check(p.stdout.String(), 5000)
	}
}
