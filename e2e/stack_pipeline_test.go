package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/producer/generate"
	"sluice/schemas"
)

// stackLoad is what was published, by every way in, and what is to become of it.
type stackLoad struct {
	rows      map[string]int // by action
	total     int
	secrets   []generate.Secret
	marker    string
	malformed map[schemas.Reason][]byte
}

func (s *stack) load(n int, seed uint64) *stackLoad {
	t := s.t
	t.Helper()
	ndjson, secrets, byAction := generated(n, seed)
	load := &stackLoad{rows: byAction, secrets: secrets, marker: generate.Marker(seed), total: n + 5 + 2}
	load.malformed = malformed(load.marker)
	for _, action := range []string{"login", "login_failed", "logout", "user_write", "authorize_application", "password_set", "login"} {
		load.rows[action]++
	}
	p := start(t, strings.NewReader(ndjson+seedEvents(t)+unexpired(seedEvents(t))), s.as("producer-default"), "producer", "publish")
	if code := p.wait(t); code != 0 || p.stdout.String() != fmt.Sprintf("published %d, duplicate 0, refused 0\n", n+10) {
		t.Fatalf("publish: exit %d, %s", code, p.stdout.String())
	}
	nc, _ := s.connect("producer-default", "_INBOX")
	for reason, raw := range load.malformed {
		answer, err := nc.Request("events.raw.default.login", raw, 10*time.Second)
		if err != nil || !strings.Contains(string(answer.Data), `"stream":"`+schemas.StreamRaw+`"`) {
			t.Fatalf("publish the one for %s: %v", reason, err)
		}
	}
	// What a client publishes that knows nothing but the subject, and what comes over HTTP.
	if err := nc.Publish("events.raw.default.password_set", []byte(`{"context":{"password":"sw0rdf1sh"}}`)); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+s.published("door")+"/v1/events",
		strings.NewReader(`{"action":"login","context":{"password":"sw0rdf1sh"}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key("door-default.token"))
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("the door answers %s", resp.Status)
	}
	return load
}

// check holds the rows, the streams, the quarantine and the alerts against the load.
func (l *stackLoad) check(t *testing.T, s *stack) {
	t.Helper()
	s.untilRows(t, l.total)
	got, err := s.ask("SELECT action, count() FROM sluice.events GROUP BY action")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for line := range strings.SplitSeq(got, "\n") {
		action, count, _ := strings.Cut(line, "\t")
		rows[action], _ = strconv.Atoi(count)
	}
	for action, want := range l.rows {
		if rows[action] != want {
			t.Errorf("%s: got %d rows, want %d", action, rows[action], want)
		}
	}
	if got, err := s.ask("SELECT context, redacted FROM sluice.events WHERE action = 'password_set' AND user = '{}'"); err != nil ||
		got != `{"password":"********************"}`+"\t['/context/password']" {
		t.Errorf("the plain client's row: got %q, %v", got, err)
	}

	_, asSink := s.connect("sink", "_INBOX_sink")
	checkCleanStream(t, asSink, l.total+5) // authentik's examples as they are, which have expired
	_, asNotifier := s.connect("notifier", "_INBOX_notifier")
	until(t, "the alerts tell of every exception", func() error {
		told := uint64(0)
		for _, msg := range readAll(t, asNotifier, schemas.StreamAlerts) {
			var alert schemas.Alert
			if err := json.Unmarshal(msg.Data(), &alert); err != nil {
				return err
			}
			if alert.Data.Action == "system_exception" && alert.Type == schemas.AlertFiring {
				told++
			}
		}
		if told == 0 {
			return fmt.Errorf("no alert about %d system exceptions", l.rows["system_exception"])
		}
		return nil
	})
	_, asRedactor := s.connect("redactor", "_INBOX_redactor")
	until(t, "every raw event is gone and the bad ones are in quarantine", func() error {
		raw, quarantined := streamState(t, asRedactor, schemas.StreamRaw).Msgs, streamState(t, asRedactor, schemas.StreamQuarantine).Msgs
		if raw != 0 || quarantined != uint64(len(l.malformed)) {
			return fmt.Errorf("%d raw, %d quarantined, want %d", raw, quarantined, len(l.malformed))
		}
		return nil
	})
	p := start(t, nil, s.as("redactor"), "redactor", "quarantine", "list", "-json")
	if code := p.wait(t); code != 0 {
		t.Fatalf("quarantine list: exit %d", code)
	}
	for reason := range l.malformed {
		if strings.Count(p.stdout.String(), `"`+string(reason)+`"`) != 1 {
			t.Errorf("quarantine list does not have one event with reason %s", reason)
		}
	}
}

// checkNoSecret looks for what was planted, and for the installation's own secrets,
// wherever the stack shows or stores anything.
func (s *stack) checkNoSecret(t *testing.T, l *stackLoad) {
	t.Helper()
	needles := []string{l.marker, "sw0rdf1sh"}
	for _, secret := range l.secrets {
		if !strings.Contains(secret.Encoded, l.marker) {
			needles = append(needles, secret.Value) // numbers carry no marker
		}
	}
	rows, err := s.ask("SELECT * FROM sluice.events FORMAT JSONEachRow")
	if err != nil || !strings.Contains(rows, schemas.Mask) {
		t.Fatalf("the rows hold no mask: this looked at nothing (%v)", err)
	}
	leaks(t, "the rows", rows, needles)

	for _, pattern := range []string{"*.nk", "*.password", "*.token", "store.key", "*-key.pem"} {
		files, err := filepath.Glob(filepath.Join(s.keys, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s among the keys (%v)", pattern, err)
		}
		for _, file := range files {
			text := s.key(filepath.Base(file))
			if _, value, ok := strings.Cut(text, `"`); ok { // store_key: "…"
				text = strings.TrimSuffix(value, `"`)
			}
			if lines := strings.Split(text, "\n"); len(lines) > 2 { // PEM
				text = lines[1]
			}
			needles = append(needles, text)
		}
	}
	for _, name := range append(s.running(), "keys") {
		logged, err := s.logsOf(name)
		if err != nil {
			t.Error(err)
		}
		leaks(t, "the log of "+name, logged, needles)
		leaks(t, "what podman shows of "+name, s.podman("inspect", s.container(name)), needles)
	}
	for service, addr := range map[string]string{"redactor": "redactor:8081", "sink": "sink:8082", "notifier": "notifier:8083", "door": "door:8084"} {
		metrics := s.podman("exec", s.container("nats"), "wget", "-q", "-O", "-", "http://"+addr+"/metrics")
		if !strings.Contains(metrics, "sluice_build_info") {
			t.Errorf("%s: no metrics", service)
		}
		leaks(t, "the metrics of "+service, metrics, needles)
	}
	// The broker's store is encrypted, EVENTS_RAW and EVENTS_QUARANTINE too.
	for _, volume := range []string{"nats-data", "clickhouse-data"} {
		s.checkVolume(t, volume, needles)
	}
}

func (s *stack) checkVolume(t *testing.T, volume string, needles []string) {
	t.Helper()
	searched := 0
	root := s.podman("volume", "inspect", "--format", "{{.Mountpoint}}", s.name+"_"+volume)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil //nolint:nilerr // merges and the broker remove files as we walk
		}
		if content, err := os.ReadFile(path); err == nil {
			searched++
			leaks(t, volume+": "+entry.Name(), string(content), needles)
		}
		return nil
	})
	if err != nil || searched < 10 {
		t.Errorf("%s: searched %d files (%v)", volume, searched, err)
	}
}
