package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
	"sluice/schemas"
)

// The person to erase, and what only events of hers say.
const (
	erasedUser = "Zebulon.Quetzalcoatl+7319@example.org"
	erasedTale = "xylophone-jukebox-wizard-of-quartz-4711"
)

// Whom erasing user finds, in the table as in the stream.
var erasedShapes = []struct {
	name, user string
	want       bool
}{
	{"pk", `{"pk":"USER"}`, true},
	{"username", `{"pk":1,"username":"USER"}`, true},
	{"email", `{"email":"USER","username":"u"}`, true},
	{"on behalf of", `{"pk":1,"on_behalf_of":{"pk":2,"username":"USER"}}`, true},
	{"on behalf of, by name", `{"pk":1,"on_behalf_of":"USER"}`, true},
	{"authenticated as", `{"username":"pending","authenticated_as":{"email":"USER"}}`, true},
	{"escaped", `{"user\u006eame":"\u0055SER"}`, true},
	{"another", `{"pk":1,"username":"other","email":"USER.org"}`, false},
	{"other case", `{"username":"user"}`, false},
	{"elsewhere", `{"pk":1,"groups":["USER"],"note":"USER"}`, false},
	{"nobody", `{}`, false},
	{"null", `{"pk":null,"on_behalf_of":null}`, false},
}

func TestErasureMatches(t *testing.T) {
	e := cleanEngine(t)
	erasure := Erasure{User: "USER"}
	m := newMapper(testRetention)
	var rows []stored
	for _, tc := range erasedShapes {
		r, err := m.row(message(`{"user":` + tc.user + `}`))
		if got := erasure.matches(&r, m); err != nil || got != tc.want {
			t.Errorf("%s: in the stream got %v, want %v (%v)", tc.name, got, tc.want, err)
		}
		rows = append(rows, stored{tenant: "acme", user: tc.user})
	}
	store(t, e, testRetention, rows...)
	for i, tc := range erasedShapes {
		got := e.query(t, fmt.Sprintf("SELECT %s FROM sluice.events WHERE stream_seq = %d", erasure.where(), i+1))
		if (got == "1") != tc.want {
			t.Errorf("%s: in the table got %s, want %v", tc.name, got, tc.want)
		}
	}
	for _, tc := range []struct{ context, user, want string }{
		{`{"username":"USER"}`, "{}", "1"},
		{`{"message":"login of USER, failed"}`, "{}", "1"},
		{`{"message":"USER2 SUPERUSER USER_"}`, "{}", "0"},
		{"{}", `{"groups":["USER"]}`, "1"},
		{"{}", "{}", "0"},
	} {
		got := e.query(t, fmt.Sprintf(`WITH '' AS user_pk, '' AS username, '' AS user_email, '{}' AS brand, '{}' AS extra, '%s' AS user, '%s' AS context SELECT %s`,
			tc.user, tc.context, erasure.mentions()))
		if got != tc.want {
			t.Errorf("context %s, user %s: mentioned %s, want %s", tc.context, tc.user, got, tc.want)
		}
	}
	number := Erasure{User: "42"}
	r, err := m.row(message(`{"user":{"on_behalf_of":{"pk":42}}}`))
	if err != nil || !number.matches(&r, m) || (Erasure{User: "42", Tenant: "lab"}).matches(&r, m) {
		t.Errorf("a number, or a tenant: %v", err)
	}
	if got := e.query(t, fmt.Sprintf(`WITH '1' AS user_pk, '' AS username, '' AS user_email, 'acme' AS tenant, '{"on_behalf_of":{"pk":42}}' AS user SELECT %s, %s`,
		number.where(), Erasure{User: "42", Tenant: "lab"}.where())); got != "1\t0" {
		t.Errorf("a number, or a tenant: got %q", got)
	}
	if got := e.query(t, fmt.Sprintf(`WITH 'o\'b\\x' AS user_pk, '' AS username, '' AS user_email, '{}' AS user SELECT %s`, Erasure{User: `o'b\x`}.where())); got != "1" {
		t.Errorf("a quote: got %q", got)
	}
}

// eventOf is a clean event of a user.
func eventOf(tenant, user, tale string) *nats.Msg {
	pk := uuid.NewString()
	return cleanMsg(tenant, "login", pk, fmt.Sprintf(`{"pk":%q,"user":{"pk":1,"username":%q},"context":{"tale":%q},"created":%q}`,
		pk, user, tale, time.Now().UTC().Format(time.RFC3339Nano)))
}

// pipeline is a sink between a broker and a ClickHouse of its own.
type pipeline struct {
	engine *engine
	dir    string
	cfg    Config
	conn   *broker.Conn
	broker string // its folder
}

func startPipeline(t *testing.T) *pipeline {
	t.Helper()
	p := &pipeline{dir: t.TempDir()}
	p.engine = ownEngine(t, p.dir, "127.0.0.1:0")
	mq := startBroker(t)
	p.broker, p.conn = mq.StoreDir(), connect(t, mq)
	p.cfg = testConfig(mq.ClientURL(), p.engine.url)
	if _, err := Migrate(t.Context(), p.engine.settings()); err != nil {
		t.Fatal(err)
	}
	// So that a search of the files finds what they say.
	p.engine.query(t, "ALTER TABLE sluice.events MODIFY COLUMN username String CODEC(NONE), MODIFY COLUMN context String CODEC(NONE), MODIFY COLUMN user String CODEC(NONE)")
	startSink(t, p.cfg)
	return p
}

// fill publishes 40 events of two users in two tenants, 10 of each, and one of the
// person's a second time.
func (p *pipeline) fill(t *testing.T) {
	t.Helper()
	var msgs []*nats.Msg
	for range 10 {
		msgs = append(msgs, eventOf("acme", erasedUser, erasedTale), eventOf("lab", erasedUser, erasedTale),
			eventOf("acme", "another", "another"), eventOf("lab", "another", "another"))
	}
	again := *msgs[0]
	again.Header = nats.Header{}
	publish(t, p.conn, append(msgs, &again)...)
	eventuallyQuery(t, p.engine, countRows, rows(40))
	acknowledged(t, p.conn)
}

// replayableOf counts a user's messages in the stream.
func (p *pipeline) replayableOf(t *testing.T, e Erasure) int {
	t.Helper()
	e.DryRun = true
	n, err := replayable{conn: p.conn, erasure: e}.erase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// filesWith are the files below dir that have one of the texts in them.
func filesWith(t *testing.T, dir string, texts ...string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return ignoreMissing(err)
		}
		data, err := os.ReadFile(path)
		for _, text := range texts {
			if bytes.Contains(data, []byte(text)) {
				found = append(found, path)
			}
		}
		return ignoreMissing(err)
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// ignoreMissing lets files go while they are read.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func erase(t *testing.T, cfg Config, e Erasure) string {
	t.Helper()
	var out bytes.Buffer
	if err := Erase(t.Context(), cfg, e, &out, nil); err != nil {
		t.Fatalf("erase: %v\n%s", err, &out)
	}
	return out.String()
}

func TestErase(t *testing.T) {
	p := startPipeline(t)
	p.fill(t)
	person := Erasure{User: erasedUser}
	for _, dir := range []string{p.dir, p.broker} {
		if files := filesWith(t, dir, erasedUser, erasedTale); len(files) == 0 {
			t.Fatalf("the test cannot find the person's events in %s", dir)
		}
	}

	dry := erase(t, p.cfg, Erasure{User: erasedUser, DryRun: true})
	for _, want := range []string{"acme login 10 0 10 0 0 0 lab login 10 0 10 0 0 0 20 events of the table sluice.events.", "21 events of the stream EVENTS_CLEAN."} {
		if !strings.Contains(unaligned(dry), want) {
			t.Errorf("want %q in\n%s", want, dry)
		}
	}
	if got, n := p.engine.query(t, countRows), p.replayableOf(t, person); got != rows(40) || n != 21 {
		t.Errorf("after a dry run: %s rows, %d messages", got, n)
	}

	tenant := erase(t, p.cfg, Erasure{User: erasedUser, Tenant: "lab"})
	if !strings.Contains(tenant, "Erased 10 events from the stream") || !strings.Contains(tenant, "Erased 10 events from the table") {
		t.Errorf("of one tenant:\n%s", tenant)
	}
	out := erase(t, p.cfg, person)
	if !strings.Contains(out, "Erased 11 events from the stream") || !strings.Contains(out, "Erased 10 events from the table") {
		t.Errorf("got\n%s", out)
	}
	if strings.Contains(out, erasedTale) {
		t.Errorf("it prints what an event says:\n%s", out)
	}
	if got, n := p.engine.query(t, countRows), p.replayableOf(t, person); got != rows(20) || n != 0 {
		t.Errorf("after it: %s rows, %d messages", got, n)
	}
	if got := p.engine.query(t, "SELECT username, count() FROM sluice.events GROUP BY username"); got != "another\t20" {
		t.Errorf("left: %q", got)
	}
	if n := p.replayableOf(t, Erasure{User: "another"}); n != 20 {
		t.Errorf("%d messages of another user are left, want 20", n)
	}
	for _, dir := range []string{p.dir, p.broker} {
		if files := filesWith(t, dir, erasedUser, erasedTale); len(files) > 0 {
			t.Errorf("still on disk: %q", files)
		}
	}
	if again := erase(t, p.cfg, person); !strings.Contains(again, "Erased 0 events from the table") {
		t.Errorf("repeated, it says\n%s", again)
	}
	publishEvents(t, p.conn, 5) // the sink goes on
	eventuallyQuery(t, p.engine, countRows, rows(25))
}

// Without the broker the table is erased, and what remains is an error. What an
// interrupted run has listed is erased by the next one.
func TestEraseInParts(t *testing.T) {
	p := startPipeline(t)
	p.fill(t)
	person := Erasure{User: erasedUser}
	away := p.cfg
	away.URL, away.ConnectWait = "nats://"+freeAddress(t), time.Millisecond

	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := Erase(stopped, p.cfg, person, &bytes.Buffer{}, nil); err == nil {
		t.Error("want an error when stopped at once")
	}
	if got := p.engine.query(t, countRows); got != rows(40) {
		t.Errorf("stopped at once, it leaves %s", got)
	}
	table, err := openStored(t.Context(), p.engine.settings())
	if err != nil {
		t.Fatal(err)
	}
	defer table.close()
	if n, err := table.eraseListed(t.Context(), Erasure{User: erasedUser, Tenant: "lab"}, nil); err != nil || n != 10 {
		t.Fatalf("%d, %v", n, err)
	}
	p.engine.query(t, "INSERT INTO "+erasingTable+" SELECT pk FROM sluice.events WHERE tenant = 'acme' AND username = '"+erasedUser+"' LIMIT 3")

	var out bytes.Buffer
	err = Erase(t.Context(), away, person, &out, nil)
	if err == nil || !strings.Contains(err.Error(), "EVENTS_CLEAN") || !strings.Contains(err.Error(), time.Now().UTC().Add(schemas.CleanReplayAge).Format("2006-01-02")) {
		t.Errorf("without the broker: %v", err)
	}
	if got := p.engine.query(t, countRows); got != rows(20) || !strings.Contains(out.String(), "Erased 10 events from the table") {
		t.Errorf("without the broker: %s rows, and it says\n%s", got, &out)
	}
	if n := p.replayableOf(t, person); n != 21 {
		t.Errorf("%d messages are left, want 21", n)
	}
	if got := p.engine.query(t, "SELECT count() FROM "+erasingTable); got != "0" {
		t.Errorf("%s rows are still listed", got)
	}
	if out := erase(t, p.cfg, person); !strings.Contains(out, "Erased 21 events from the stream") {
		t.Errorf("with the broker again:\n%s", out)
	}
	if files := filesWith(t, p.broker, erasedUser, erasedTale); len(files) > 0 {
		t.Errorf("still on disk: %q", files)
	}
}
