package e2e_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAlertReachesItsReceiver goes the whole way: an event that a service publishes
// meets a rule of a file, and the rule's receiver, which comes into the file later,
// gets the alert, without the secret.
func TestAlertReachesItsReceiver(t *testing.T) {
	t.Parallel()
	bodies := make(chan []byte, 16)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- body
	}))
	t.Cleanup(hook.Close)
	file := filepath.Join(t.TempDir(), "notifier.yaml")
	write := func(rules string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("version: 1\nreceivers:\n  hook: {type: webhook, url: '"+hook.URL+"', allow: 127.0.0.0/8}\n"+rules), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	s := startSystem(t, "NOTIFIER_CONFIG="+file)
	write("rules:\n  - name: many\n    match: {action: login_failed, when: 'context.attempts > 3'}\n    receivers: hook\n    title: 'somebody tries {{.user.username}}'\n")
	s.process.signal(t, syscall.SIGHUP)
	s.until("the rules are read again", func() error {
		if !strings.Contains(s.printed(), `msg="rules read"`) {
			return errors.New("not logged")
		}
		return nil
	})

	publish(s, `{"action":"login_failed","user":{"username":"ann"},"context":{"attempts":1}}`+"\n"+
		`{"action":"login_failed","user":{"username":"bob"},"context":{"attempts":4,"password":"hunter2"}}`+"\n")
	select {
	case body := <-bodies:
		var alert struct {
			Type string `json:"type"`
			Data struct {
				Title string `json:"title"`
				Rule  string `json:"rule"`
			} `json:"data"`
		}
		if err := json.Unmarshal(body, &alert); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		if alert.Type != "sluice.alert.firing" || alert.Data.Title != "somebody tries bob" || alert.Data.Rule != "many" {
			t.Errorf("got %s", body)
		}
		if strings.Contains(string(body), "hunter2") {
			t.Error("the alert holds the password")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("no alert came")
	}
}
