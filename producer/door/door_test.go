package door_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/producer/door"
	"sluice/producer/internal/brokertest"
)

const (
	tokenAll    = "all-0123456789abcdef0123456789abcdef"
	tokenLogins = "logins-0123456789abcdef0123456789abc"
	// tokenHashed is in the file as its SHA-256.
	tokenHashed = "hashed-0123456789abcdef0123456789abc"
	secret      = "hunter2"
	pk          = "6f9619ff-8b86-4011-b42d-00c04fc964ff"
)

// opened is a door that runs.
type opened struct {
	t         testing.TB
	url, addr string
	tokens    string
	log       *lockedBuffer
	reload    chan os.Signal
	telemetry *daemon.Telemetry
	stop      func() error
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func open(t testing.TB, b *brokertest.Broker, change func(*door.Config)) *opened {
	t.Helper()
	o := &opened{t: t, tokens: filepath.Join(t.TempDir(), "tokens"), log: &lockedBuffer{}, reload: make(chan os.Signal), telemetry: daemon.NewTelemetry()}
	o.write("# who       tenant  actions  token\n" +
		"all         acme    *        " + tokenAll + "\n" +
		"logins      acme    login,login_* " + tokenLogins + "\n" +
		"hashed other * sha256:08298e05f30207c758028ebb7d39af2c8d6f8acb977fc8ecec6a6ba8813e9d07\n")
	addr := make(chan string, 1)
	cfg := door.Config{
		NATS: broker.NATS{URL: b.URL, ConnectWait: 10 * time.Second},
		Addr: "127.0.0.1:0", TokensFile: o.tokens, Timeout: 10 * time.Second, ReadTimeout: 20 * time.Second,
		MaxBodyBytes: 2 << 20, MaxMemoryBytes: 32 << 20, MaxConnections: 512,
		Reload: o.reload, Listening: func(a string) { addr <- a },
	}
	cfg.Telemetry = o.telemetry
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- door.Run(ctx, cfg, slog.New(slog.NewTextHandler(o.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	}()
	o.stop = sync.OnceValue(func() error { cancel(); return <-done })
	select {
	case o.addr = <-addr:
	case err := <-done:
		t.Fatalf("the door does not open: %v", err)
	}
	o.url = "http://" + o.addr
	t.Cleanup(func() {
		if err := o.stop(); err != nil {
			t.Errorf("the door ended with %v", err)
		}
		if strings.Contains(o.log.String(), secret) {
			t.Error("the log holds a part of an event")
		}
	})
	return o
}

func (o *opened) write(tokens string) {
	o.t.Helper()
	if err := os.WriteFile(o.tokens, []byte(tokens), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	body   struct {
		Status, Stored, Duplicate, Refused int
		Detail, Reason, Field              string
		Results                            []struct {
			Index, Line int
			PK, Outcome string
			Sequence    uint64
			Problem     struct {
				Status        int
				Reason, Field string
			}
		}
	}
}

// send posts a body; headers are "Name: value".
func (o *opened) send(path, token, body string, headers ...string) answer {
	o.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, o.url+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, text: string(text)}
	if err := json.Unmarshal(text, &a.body); err != nil { //nolint:musttag // names differ in case alone
		o.t.Fatalf("%d %s: %v", a.status, text, err)
	}
	if strings.Contains(a.text, secret) {
		o.t.Errorf("the answer holds a part of the event: %s", a.text)
	}
	checkAnswer(o.t, a)
	return a
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

func zstded(t testing.TB, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

func TestStores(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	o := open(t, b, nil)
	const event = `{"action":"login","context":{"password":"hunter2"}}`
	const ndjson = "Content-Type: application/x-ndjson"
	want := 0
	for _, tc := range []struct {
		name, path, body string
		headers          []string
		events           int
	}{
		{"one", "/v1/events", event, nil, 1},
		{"array", "/v1/events", "[" + event + " ,\n" + event + "]", nil, 2},
		{"ndjson", "/v1/events", event + "\n\r\n" + event + "\r\n" + event, []string{ndjson}, 3},
		{"action beside", "/v1/events?action=logout", `{}`, nil, 1},
		{"tenant", "/v1/tenants/acme/events", event, nil, 1},
		{"gzip", "/v1/events", gzipped(event), []string{"Content-Encoding: gzip"}, 1},
		{"zstd", "/v1/events", zstded(t, event), []string{"Content-Encoding: zstd"}, 1},
		{"utf-8", "/v1/events", event, []string{"Content-Type: application/json; charset=UTF-8"}, 1},
		{"unknown header", "/v1/events", event, []string{"X-Anything: hunter2"}, 1},
		{"many", "/v1/events", "[" + strings.Repeat(event+",", 2499) + event + "]", nil, 2500},
	} {
		a := o.send(tc.path, tokenAll, tc.body, tc.headers...)
		if a.status != http.StatusAccepted || a.body.Stored != tc.events || len(a.body.Results) != tc.events {
			t.Fatalf("%s: %d %.300s", tc.name, a.status, a.text)
		}
		want += tc.events
		if got := streamMsgs(t, stream); got != want {
			t.Fatalf("%s: the stream holds %d, want %d when 202 is there", tc.name, got, want)
		}
	}
	for _, msg := range brokertest.Messages(t, stream)[:7] {
		if !strings.HasPrefix(msg.Subject, "events.raw.acme.log") {
			t.Errorf("published to %s", msg.Subject)
		}
	}
}

func TestTokenKeptAsItsHash(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	o := open(t, b, nil)
	if a := o.send("/v1/tenants/other/events", tokenHashed, `{"action":"login"}`); a.status != http.StatusAccepted {
		t.Fatalf("%d %s", a.status, a.text)
	}
	if got := brokertest.Messages(t, stream)[0].Subject; got != "events.raw.other.login" {
		t.Errorf("published to %s", got)
	}
}

func streamMsgs(t testing.TB, stream jetstream.Stream) int {
	t.Helper()
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return int(info.State.Msgs)
}

func TestRefuses(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	o := open(t, b, nil)
	const ok = `{"action":"login","context":{"password":"hunter2"}}`
	for _, tc := range []struct {
		name, path, token, body string
		headers                 []string
		status                  int
		reason, field           string
	}{
		{"no token", "/v1/events", "", ok, nil, 401, "", ""},
		{"unknown token", "/v1/events", tokenAll + "x", ok, nil, 401, "", ""},
		{"hash as token", "/v1/events", "sha256:08298e05f30207c758028ebb7d39af2c8d6f8acb977fc8ecec6a6ba8813e9d07", ok, nil, 401, "", ""},
		{"other scheme", "/v1/events", "", ok, []string{"Authorization: Token " + tokenAll}, 401, "", ""},
		{"other tenant", "/v1/tenants/other/events", tokenAll, ok, nil, 403, "tenant", ""},
		{"other action", "/v1/events", tokenLogins, `{"action":"logout"}`, nil, 403, "action", "action"},
		{"form", "/v1/events", tokenAll, ok, []string{"Content-Type: application/x-www-form-urlencoded"}, 415, "content_type", ""},
		{"latin", "/v1/events", tokenAll, ok, []string{"Content-Type: application/json; charset=latin1"}, 415, "content_type", ""},
		{"brotli", "/v1/events", tokenAll, ok, []string{"Content-Encoding: br"}, 415, "content_encoding", ""},
		{"not gzip", "/v1/events", tokenAll, ok, []string{"Content-Encoding: gzip"}, 400, "truncated", ""},
		{"cut gzip", "/v1/events", tokenAll, gzipped(ok)[:20], []string{"Content-Encoding: gzip"}, 400, "truncated", ""},
		{"cut zstd", "/v1/events", tokenAll, zstded(t, ok)[:20], []string{"Content-Encoding: zstd"}, 400, "truncated", ""},
		{"empty", "/v1/events", tokenAll, " \n", nil, 400, "invalid_json", ""},
		{"no events", "/v1/events", tokenAll, "[ ]", nil, 400, "invalid_json", ""},
		{"cut", "/v1/events", tokenAll, ok[:20], nil, 400, "invalid_json", ""},
		{"cut array", "/v1/events", tokenAll, "[" + ok + "," + ok[:20], nil, 400, "invalid_json", ""},
		{"array and more", "/v1/events", tokenAll, "[" + ok + "]" + ok, nil, 400, "invalid_json", ""},
		{"number", "/v1/events", tokenAll, `17`, nil, 422, "not_an_object", ""},
		{"no action", "/v1/events", tokenAll, `{"context":{}}`, nil, 422, "invalid_field", "action"},
		{"wrong action beside", "/v1/events?action=Hunter2", tokenAll, `{}`, nil, 400, "invalid_field", "action"},
		{"wrong field", "/v1/events", tokenAll, `{"action":"login","client_ip":"hunter2"}`, nil, 422, "invalid_field", "client_ip"},
		{"field twice", "/v1/events", tokenAll, `{"action":"login","action":"login"}`, nil, 422, "invalid_field", "action"},
		{"too deep", "/v1/events", tokenAll, `{"action":"a","x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, nil, 422, "too_deep", ""},
		{"large event", "/v1/events", tokenAll, `{"action":"a","x":"` + strings.Repeat("x", 1<<20) + `"}`, nil, 413, "too_large", ""},
		{"large body", "/v1/events", tokenAll, `{"action":"a","x":"` + strings.Repeat("x", 2<<20) + `"}`, nil, 413, "body_too_large", ""},
		{"gzip bomb", "/v1/events", tokenAll, gzipped(strings.Repeat(" ", 64<<20)), []string{"Content-Encoding: gzip"}, 413, "body_too_large", ""},
		{"zstd bomb", "/v1/events", tokenAll, zstded(t, strings.Repeat(" ", 64<<20)), []string{"Content-Encoding: zstd"}, 413, "body_too_large", ""},
		{"too many", "/v1/events", tokenAll, "[" + strings.Repeat("{},", 10_000) + "{}]", nil, 413, "too_many_events", ""},
		{"nowhere", "/v2/events", tokenAll, ok, nil, 404, "", ""},
	} {
		a := o.send(tc.path, tc.token, tc.body, tc.headers...)
		if a.status != tc.status || a.body.Status != tc.status || a.body.Reason != tc.reason || a.body.Field != tc.field {
			t.Errorf("%s: %d %.300s", tc.name, a.status, a.text)
		}
		if got := a.header.Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%s: Content-Type %s", tc.name, got)
		}
		if strings.Contains(strings.ToLower(a.text), secret) {
			t.Errorf("%s: the answer quotes the request: %s", tc.name, a.text)
		}
	}
	if got := streamMsgs(t, stream); got != 0 {
		t.Errorf("%d events stored, want none", got)
	}
	resp, err := http.Get(o.url + "/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != http.MethodPost {
		t.Errorf("GET: %d, Allow %q", resp.StatusCode, resp.Header.Get("Allow"))
	}
}

func TestStoresTheGoodOnesBesideBadOnes(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	o := open(t, b, nil)
	body := `{"action":"login"}` + "\n" + `{"action":"login","user":"hunter2"}` + "\n\n" + `{"action":"logout"}` + "\nhunter2\n" + `{"action":"login_failed"}`
	a := o.send("/v1/events", tokenLogins, body, "Content-Type: application/x-ndjson")
	if a.status != http.StatusMultiStatus || a.body.Stored != 2 || a.body.Refused != 3 {
		t.Fatalf("%d %s", a.status, a.text)
	}
	for i, w := range []struct {
		line   int
		status int
		field  string
	}{{1, 0, ""}, {2, 422, "user"}, {4, 403, "action"}, {5, 400, ""}, {6, 0, ""}} {
		r := a.body.Results[i]
		if r.Line != w.line || r.Problem.Status != w.status || r.Problem.Field != w.field || r.Index != i {
			t.Errorf("result %d: %+v", i, r)
		}
	}
	if got := streamMsgs(t, stream); got != 2 {
		t.Errorf("%d stored, want 2", got)
	}
	if a := o.send("/v1/events", tokenAll, `[{"action":"login","user":1},{"action":"login","user":2}]`); a.status != 422 || a.body.Refused != 2 {
		t.Errorf("none good: %d %s", a.status, a.text)
	}
}

func TestAgainIsADuplicate(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	o := open(t, b, nil)
	const event = `{"action":"login","pk":"` + pk + `"}`
	first, second := o.send("/v1/events", tokenAll, event), o.send("/v1/events", tokenAll, event)
	if first.body.Stored != 1 || second.status != 202 || second.body.Duplicate != 1 || second.body.Results[0].PK != pk {
		t.Errorf("first %s, second %s", first.text, second.text)
	}
	const none = `[{"action":"login"},{"action":"login"},{"action":"logout"}]`
	first = o.send("/v1/events", tokenAll, none, "Idempotency-Key: hunter2")
	second = o.send("/v1/events", tokenAll, none, "Idempotency-Key: hunter2")
	if first.body.Stored != 3 || second.body.Duplicate != 3 {
		t.Errorf("by key: first %s, second %s", first.text, second.text)
	}
	if other := o.send("/v1/events", tokenAll, none, "Idempotency-Key: another"); other.body.Stored != 3 {
		t.Errorf("another key: %s", other.text)
	}
	if got := streamMsgs(t, stream); got != 7 {
		t.Errorf("%d stored, want 7", got)
	}
}

func TestFullAwayAndLimited(t *testing.T) {
	b := brokertest.Start(t)
	o := open(t, b, func(c *door.Config) { c.Timeout = 300 * time.Millisecond; c.Rate = 1 })
	if a := o.send("/v1/events", tokenAll, `{"action":"login"}`); a.status != 503 || a.body.Reason != "no_stream" || a.header.Get("Retry-After") == "" {
		t.Errorf("no stream: %d %s", a.status, a.text)
	}
	stream := b.Raw(64 << 10)
	large := `{"action":"login","x":"` + strings.Repeat("x", 40<<10) + `"}`
	a := o.send("/v1/events", tokenAll, "["+large+","+large+"]")
	if a.status != http.StatusMultiStatus || a.body.Stored != 1 || a.body.Results[1].Problem.Status != 429 || a.header.Get("Retry-After") != "5" {
		t.Errorf("half full: %d %s", a.status, a.text)
	}
	if a := o.send("/v1/events", tokenAll, large); a.status != 429 || a.body.Reason != "stream_full" || a.header.Get("Retry-After") != "5" {
		t.Errorf("full: %d %s", a.status, a.text)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	many := "[" + strings.Repeat(`{"action":"No"},`, 9_998) + `{"action":"No"}]`
	o.send("/v1/events", tokenAll, many)
	if a := o.send("/v1/events", tokenAll, many); a.status != 429 || a.body.Reason != "rate_limited" || a.header.Get("Retry-After") == "" {
		t.Errorf("too often: %d %.300s", a.status, a.text)
	}
	b.Stop()
	a = o.send("/v1/events", tokenLogins, `{"action":"login"}`)
	if a.status != 503 || a.body.Reason != "broker_away" || a.body.Results[0].PK == "" {
		t.Errorf("away: %d %s", a.status, a.text)
	}
	b.Restart()
}

func TestTokensAreReadAgain(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	o := open(t, b, nil)
	o.write("broken\n")
	o.reload <- os.Interrupt
	o.reload <- os.Interrupt // the first has been worked on when the second is taken
	if a := o.send("/v1/events", tokenAll, `{"action":"login"}`); a.status != 202 {
		t.Errorf("after a broken file: %d %s", a.status, a.text)
	}
	o.write("new lab custom_* " + tokenHashed + "\n")
	o.reload <- os.Interrupt
	brokertest.Eventually(t, "the new tokens", func() bool {
		return o.send("/v1/events", tokenHashed, `{"action":"custom_x"}`).status == 202
	})
	if a := o.send("/v1/events", tokenAll, `{"action":"login"}`); a.status != 401 {
		t.Errorf("the old token: %d", a.status)
	}
	messages := brokertest.Messages(t, stream)
	if got := messages[len(messages)-1].Subject; got != "events.raw.lab.custom_x" {
		t.Errorf("published to %s", got)
	}
	if strings.Contains(o.log.String(), tokenHashed) {
		t.Error("the log holds a token")
	}
}

func TestTraceIsPassedOn(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	o := open(t, b, nil)
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	o.send("/v1/events", tokenAll, `{"action":"login"}`, "Traceparent: "+trace)
	o.send("/v1/events", tokenAll, `{"action":"login"}`, "Traceparent: hunter2")
	messages := brokertest.Messages(t, stream)
	if got := messages[0].Header.Get("traceparent"); got != trace {
		t.Errorf("got %q", got)
	}
	if got := messages[1].Header.Get("traceparent"); got != "" {
		t.Errorf("a wrong one is passed on: %q", got)
	}
}

func TestAuthentik(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	o := open(t, b, nil)
	for i, tc := range []struct{ path, body, subject, want string }{
		{
			"/v1/authentik", `{"body": "login_failed: {'username': 'ann', 'password': '********************'}", "severity": "notice", "user_email": "root@example.com", "user_username": "akadmin", "event_user_email": "ann@example.com", "event_user_username": "ann"}`,
			"events.raw.acme.login_failed",
			`"context":{"message":"login_failed: {'username': 'ann', 'password': '********************'}","notified":{"email":"root@example.com","username":"akadmin"},"severity":"notice"},"user":{"email":"ann@example.com","username":"ann"}`,
		},
		{"/v1/authentik", `{"body":"Test notification from transport x","severity":"notice","user_email":"a@b","user_username":"akadmin"}`, "events.raw.acme.notification", `"message":"Test notification from transport x"`},
		{"/v1/authentik?action=system_exception", `{"body":"it broke","severity":"alert","user_email":"a@b","user_username":"akadmin"}`, "events.raw.acme.system_exception", `"severity":"alert"`},
		{"/v1/authentik", `{"pk":"6f9619ff8b864011b42d00c04fc964ff","action":"login","body":"x","severity":"y","context":{"auth_method":"password"}}`, "events.raw.acme.login", `"pk":"6f9619ff8b864011b42d00c04fc964ff","action":"login"`},
	} {
		// authentik is given a URL alone: the token is its password.
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.Replace(o.url, "://", "://sluice:"+tokenAll+"@", 1)+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusAccepted {
			t.Fatalf("%s: %d", tc.body, resp.StatusCode)
		}
		msg := brokertest.Messages(t, stream)[i]
		if msg.Subject != tc.subject || !strings.Contains(string(msg.Data), tc.want) {
			t.Errorf("got %s %s\nwant %s %s", msg.Subject, msg.Data, tc.subject, tc.want)
		}
	}
	if a := o.send("/v1/authentik", tokenAll, `{"body":"x"}`); a.status != 422 || a.body.Field != "action" {
		t.Errorf("neither: %d %s", a.status, a.text)
	}
}

func TestDrainsOnStop(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	o := open(t, b, nil)
	in, out := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.url+"/v1/events", in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+tokenAll)
	status := make(chan int, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			status <- 0
			return
		}
		_ = resp.Body.Close()
		status <- resp.StatusCode
	}()
	if _, err := io.WriteString(out, `{"action":`); err != nil { // taken: the request is under way
		t.Fatal(err)
	}
	brokertest.Eventually(t, "the request in hand", func() bool { return o.metric("producer_body_bytes") > 0 })
	stopped := make(chan error, 1)
	go func() { stopped <- o.stop() }()
	_, _ = io.WriteString(out, `"login"}`)
	_ = out.Close()
	if got := <-status; got != http.StatusAccepted {
		t.Errorf("the request under way got %d", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if got := streamMsgs(t, stream); got != 1 {
		t.Errorf("%d stored", got)
	}
}

func (o *opened) metric(name string) float64 {
	o.t.Helper()
	families, err := o.telemetry.Registry.Gather()
	if err != nil {
		o.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return 0
}

func TestReady(t *testing.T) {
	b := brokertest.Start(t)
	b.Raw(0)
	o := open(t, b, nil)
	for path, want := range map[string]string{"/livez": "ok", "/readyz": "ok", "/openapi.json": `"openapi": "3.1.0"`} {
		resp, err := http.Get(o.url + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(text), want) {
			t.Errorf("%s: %d %.100s", path, resp.StatusCode, text)
		}
	}
}
