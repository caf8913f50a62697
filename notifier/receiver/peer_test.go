package receiver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"sluice/schemas"
)

// parse reads the definition of a receiver called oncall.
func parse(text string) (Receiver, error) {
	var doc struct {
		Receivers yaml.Node `yaml:"receivers"`
	}
	text = "receivers:\n  oncall:\n    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return Receiver{}, err
	}
	list, err := ParseAll(&doc.Receivers)
	if err != nil {
		return Receiver{}, err
	}
	return list[0], nil
}

// open makes a receiver ready, with an environment of its own.
func open(t *testing.T, env map[string]string, definition string) Sender {
	t.Helper()
	r, err := parse(definition)
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Open(testEnv(t, env))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func testEnv(t *testing.T, env map[string]string) Env {
	t.Helper()
	engine, err := NewEngine()
	if err != nil {
		t.Fatal(err)
	}
	return Env{Engine: engine, Version: "test", LookupEnv: func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}}
}

// notice returns an alert as it comes from the stream.
func notice(t *testing.T, change func(*schemas.Alert)) Notice {
	t.Helper()
	alert := Sample("4ad95e67-c916-5d01-9198-bfe8e2bdac3a", time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	alert.Data.Severity, alert.Data.App = schemas.SeverityAlert, "billing"
	alert.Data.Title, alert.Data.Message = "ValueError: amount 17 is too <small>", "amount 17 is too <small>\n@everyone <!channel> *now*"
	alert.Data.Fingerprint = "v1:efd973ed946ea4464227aced08c71d57"
	if change != nil {
		change(&alert)
	}
	data, err := json.Marshal(alert)
	if err != nil {
		t.Fatal(err)
	}
	n, err := NewNotice(testEnv(t, nil).Engine, data, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// request is what a peer has got.
type request struct {
	method, path string
	header       http.Header
	body         []byte
}

// peer is an HTTP server that remembers what it got and answers as it is told.
type peer struct {
	*httptest.Server

	mu     sync.Mutex
	got    []request
	answer func(w http.ResponseWriter, r *http.Request)
}

func newPeer(t *testing.T, start func(*httptest.Server)) *peer {
	t.Helper()
	p := &peer{answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		p.mu.Lock()
		p.got = append(p.got, request{r.Method, r.URL.RequestURI(), r.Header.Clone(), body})
		p.mu.Unlock()
		p.answer(w, r)
	}))
	if start == nil {
		start = (*httptest.Server).Start
	}
	start(p.Server)
	t.Cleanup(p.Close)
	return p
}

// last returns what came last.
func (p *peer) last(t *testing.T) request {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.got) == 0 {
		t.Fatal("nothing came")
	}
	return p.got[len(p.got)-1]
}

func send(t *testing.T, s Sender, n Notice) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return s.Send(ctx, n)
}

func mustSend(t *testing.T, s Sender, n Notice) {
	t.Helper()
	if err := send(t, s, n); err != nil {
		t.Fatal(err)
	}
}

const loopback = "allow: [127.0.0.0/8]\n"

func secretURL(base string) map[string]string { return map[string]string{"URL": base + "/hook/T0KEN"} }

func decode(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// at walks into decoded JSON: names and numbers.
func at(v any, path ...any) string {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return "nothing"
			}
			v = l[p]
		}
	}
	return fmt.Sprint(v)
}
