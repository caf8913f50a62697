package e2e_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/schemas"
)

// What there is at the broker.
var (
	rawStreams = []string{schemas.StreamRaw, schemas.StreamQuarantine}
	allStreams = append(slices.Clone(rawStreams), schemas.StreamClean, schemas.StreamAlerts, schemas.StreamOutbox,
		"KV_"+schemas.BucketSink, "KV_"+schemas.BucketGroups, "KV_"+schemas.BucketSilences, "KV_"+schemas.BucketReceivers, "EVIL")
	consumers = []string{"redactor", "redactor-moving", "sink", "notifier", "notifier-moving", "receiver-mail", "evil"}
	users     = []string{"redactor", "sink", "notifier", "door", "operator", "responder", "producer-default", "producer-acme", "subscriber-acme", "sys"}
)

// apiCalls are all that JetStream answers to, S for a stream, C for a consumer and >
// for a subject within it; TestPermissions compares them with nats-server's own list.
var apiCalls = []string{
	"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST",
	"$JS.API.STREAM.CREATE.S", "$JS.API.STREAM.UPDATE.S", "$JS.API.STREAM.INFO.S", "$JS.API.STREAM.DELETE.S", "$JS.API.STREAM.PURGE.S",
	"$JS.API.STREAM.SNAPSHOT.S", "$JS.API.STREAM.RESTORE.S", "$JS.API.STREAM.MSG.DELETE.S", "$JS.API.STREAM.MSG.GET.S",
	"$JS.API.DIRECT.GET.S", "$JS.API.DIRECT.GET.S.>",
	"$JS.API.STREAM.PEER.REMOVE.S", "$JS.API.STREAM.PEER.EVACUATE.S", "$JS.API.STREAM.CANCEL_MOVE.S", "$JS.API.STREAM.LEADER.STEPDOWN.S",
	"$JS.API.CONSUMER.CREATE.S", "$JS.API.CONSUMER.CREATE.S.C", "$JS.API.CONSUMER.CREATE.S.C.>", "$JS.API.CONSUMER.DURABLE.CREATE.S.C",
	"$JS.API.CONSUMER.NAMES.S", "$JS.API.CONSUMER.LIST.S", "$JS.API.CONSUMER.INFO.S.C", "$JS.API.CONSUMER.DELETE.S.C",
	"$JS.API.CONSUMER.PAUSE.S.C", "$JS.API.CONSUMER.MSG.NEXT.S.C", "$JS.API.CONSUMER.RESET.S.C", "$JS.API.CONSUMER.UNPIN.S.C",
	"$JS.API.CONSUMER.LEADER.STEPDOWN.S.C", "$JS.API.CONSUMER.PEER.REMOVE.S.C", "$JS.API.CONSUMER.PEER.EVACUATE.S.C",
	"$JS.API.META.LEADER.STEPDOWN", "$JS.API.META.RESCUE", "$JS.API.SERVER.REMOVE", "$JS.API.SERVER.EVACUATE",
	"$JS.API.ACCOUNT.PURGE.RAW", "$JS.API.ACCOUNT.STREAM.MOVE.RAW.S", "$JS.API.ACCOUNT.STREAM.CANCEL_MOVE.RAW.S",
	// Acknowledgements in both forms, flow control, and what snapshots go over.
	"$JS.ACK.S.C.1.1.1.1.1", "$JS.ACK._.hash.S.C.1.1.1.1.1", "$JS.FC.S.C.x", "$JS.FC._.hash.S.C.x",
	"$JS.SNAPSHOT.ACK.S.x", "$JS.SNAPSHOT.RESTORE.S.x",
	// The accounts' by their prefixes, as the redactor and the operator reach them.
	"RAW.API.STREAM.INFO.S", "RAW.API.CONSUMER.INFO.S.C", "RAW.API.CONSUMER.LIST.S", "RAW.API.STREAM.MSG.GET.S", "RAW.API.DIRECT.GET.S", "RAW.API.STREAM.PURGE.S",
	"RAW.API.CONSUMER.CREATE.S.C", "RAW.API.CONSUMER.MSG.NEXT.S.C", "SLUICE.API.CONSUMER.INFO.S.C",
	"SLUICE.API.INFO", "SLUICE.API.STREAM.LIST", "SLUICE.API.STREAM.CREATE.S", "SLUICE.API.STREAM.UPDATE.S", "SLUICE.API.STREAM.DELETE.S",
	"SLUICE.API.STREAM.INFO.S", "SLUICE.API.STREAM.PURGE.S", "SLUICE.API.STREAM.MSG.GET.S", "SLUICE.API.DIRECT.GET.S",
	"SLUICE.API.CONSUMER.LIST.S", "SLUICE.API.CONSUMER.CREATE.S.C", "SLUICE.API.CONSUMER.MSG.NEXT.S.C", "SLUICE.API.CONSUMER.DELETE.S.C",
}

// otherSubjects are those that are no calls.
var otherSubjects = []string{
	"events.raw.acme.login", "events.raw.default.login", "events.raw.acme.login.more", "events.clean.acme.login", "events.quarantine.acme.invalid_json",
	"events.quarantine.acme.storage_refused", "alerts.acme.critical.login", "alerts.default.critical.login", "outbox.kept.mail", "outbox.replay.mail",
	"$KV.SINK.writer", "$KV.ALERT_GROUPS.k", "$KV.ALERT_SILENCES.k", "$KV.ALERT_RECEIVERS.k", "sink.alive.x",
	"notifier.silence.add", "notifier.silence.list", "notifier.silence.remove", "notifier.acknowledge",
	"$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.RAW.JSZ", "$SYS.ACCOUNT.RAW.CONNECT", "$SRV.PING", "$SRV.INFO.notifier", "$JS.EVENT.ADVISORY.API", "$JS.EVENT.METRIC.x",
	"_INBOX.x", "_INBOX_redactor.x", "_INBOX_sink.x", "_INBOX_notifier.x", "_INBOX_producer.x", "_R_.x", "$JSC.R.x", "$NRG.V.x", "anything",
}

// wildcards are what somebody could subscribe to.
var wildcards = []string{
	">", "*.>", "*.*.*.*", "events.>", "events.*.>", "events.raw.>", "events.raw.acme.*", "events.raw.acme.login", "events.clean.>", "events.quarantine.>",
	"alerts.>", "alerts.acme.>", "alerts.default.>", "alerts.*.critical.>", "outbox.>", "sink.alive.*", "notifier.>", "notifier.silence.*", "notifier.acknowledge",
	"$JS.>", "$JS.API.>", "$JS.API.STREAM.CREATE.*", "$JS.ACK.>", "$JS.ACK.EVENTS_RAW.redactor.>", "$JS.EVENT.>", "$JS.EVENT.ADVISORY.>", "$JS.FC.>", "$JSC.>",
	"$KV.>", "$KV.ALERT_SILENCES.>", "$SYS.>", "$SRV.>", "$SRV.PING", "$NRG.>", "SLUICE.API.>", "RAW.API.>",
	"_INBOX.>", "_INBOX_redactor.>", "_INBOX_sink.>", "_INBOX_notifier.>", "_INBOX_producer.>", "_R_.>",
}

// needs is what a user may publish to and subscribe to, and nothing else. It is said
// here once more, so that a change in deploy/nats is a change in two places.
type needs struct{ publish, subscribe []string }

func tenantNeeds(tenant string) needs {
	return needs{[]string{"events.raw." + tenant + ".*"}, []string{"_INBOX.>", "_INBOX_producer.>"}}
}

var allowed = map[string]needs{
	"producer-default": tenantNeeds("default"),
	"producer-acme":    tenantNeeds("acme"),
	"subscriber-acme":  {nil, []string{"alerts.acme.>"}},
	"sys":              {[]string{"$SYS.REQ.>", "$JS.API.META.LEADER.STEPDOWN", "$JS.API.SERVER.REMOVE"}, []string{"$SYS.>", "_INBOX.>"}},
	"door":             {[]string{"events.raw.*.*"}, []string{"_INBOX.>", "_INBOX_producer.>"}},
	"responder":        {[]string{"notifier.silence.*", "notifier.acknowledge"}, []string{"_INBOX.>", "_INBOX_notifier.>", "alerts.>"}},
	"operator": {expand(
		"RAW.API.STREAM.INFO.{EVENTS_RAW,EVENTS_QUARANTINE}", "RAW.API.CONSUMER.{INFO.EVENTS_RAW.redactor,LIST.EVENTS_RAW}",
		"SLUICE.API.STREAM.INFO.{EVENTS_CLEAN,ALERTS,ALERTS_OUTBOX}",
		"SLUICE.API.CONSUMER.{INFO.EVENTS_CLEAN.sink,INFO.EVENTS_CLEAN.notifier,LIST.EVENTS_CLEAN,LIST.ALERTS,LIST.ALERTS_OUTBOX}",
	), []string{"_INBOX.>"}},
	"redactor": {expand(
		"events.clean.*.*", "events.quarantine.*.*", "events.raw.*.*",
		"$JS.API.STREAM.{INFO,CREATE,UPDATE,MSG.DELETE}.{EVENTS_RAW,EVENTS_QUARANTINE}", "$JS.API.STREAM.PURGE.EVENTS_RAW",
		"$JS.API.DIRECT.GET.{EVENTS_RAW,EVENTS_QUARANTINE}",
		"$JS.API.CONSUMER.{CREATE,INFO,MSG.NEXT}.EVENTS_RAW.redactor", "$JS.API.CONSUMER.INFO.EVENTS_RAW.redactor-moving", "$JS.ACK.EVENTS_RAW.redactor.>",
		"$JS.API.CONSUMER.CREATE.EVENTS_QUARANTINE.>", "$JS.API.CONSUMER.{INFO,MSG.NEXT,DELETE}.EVENTS_QUARANTINE.*",
		"SLUICE.API.INFO", "SLUICE.API.STREAM.{INFO,CREATE,UPDATE}.*",
		"SLUICE.API.{STREAM.PURGE,STREAM.MSG.GET,CONSUMER.LIST,DIRECT.GET}.EVENTS_CLEAN",
	), []string{"_INBOX_redactor.>"}},
	"sink": {expand(
		"events.quarantine.*.storage_refused", "sink.alive.*", "_INBOX_sink.>", "$KV.SINK.>",
		"$JS.API.STREAM.INFO.{EVENTS_CLEAN,KV_SINK}", "$JS.API.DIRECT.GET.{EVENTS_CLEAN,KV_SINK.>}", "$JS.API.STREAM.MSG.DELETE.EVENTS_CLEAN",
		"$JS.API.CONSUMER.INFO.EVENTS_CLEAN.*", "$JS.API.CONSUMER.RESET.EVENTS_CLEAN.sink", "$JS.ACK.EVENTS_CLEAN.sink.>",
		"$JS.API.CONSUMER.CREATE.EVENTS_CLEAN.{sink,redactor,redactor-moving,notifier-moving,receiver-mail,evil}{,.>}", // all but the notifier's
		"$JS.API.CONSUMER.{DELETE,MSG.NEXT}.EVENTS_CLEAN.{sink,redactor,redactor-moving,notifier-moving,receiver-mail,evil}",
	), []string{"_INBOX_sink.>", "sink.alive.*"}},
	"notifier": {expand(
		"_R_.>", "_INBOX_notifier.>", "alerts.*.*.*", "outbox.kept.*", "outbox.replay.*", "$JS.FC.>",
		"$KV.{ALERT_GROUPS,ALERT_SILENCES,ALERT_RECEIVERS}.>",
		"$JS.API.STREAM.INFO.{EVENTS_CLEAN,ALERTS,ALERTS_OUTBOX,KV_ALERT_GROUPS,KV_ALERT_SILENCES,KV_ALERT_RECEIVERS}",
		"$JS.API.CONSUMER.{CREATE,INFO,MSG.NEXT}.EVENTS_CLEAN.notifier", "$JS.API.CONSUMER.CREATE.EVENTS_CLEAN.notifier.>", "$JS.ACK.EVENTS_CLEAN.notifier.>",
		"$JS.API.CONSUMER.INFO.EVENTS_CLEAN.notifier-moving",
		"$JS.API.CONSUMER.CREATE.{ALERTS,ALERTS_OUTBOX,KV_ALERT_GROUPS,KV_ALERT_SILENCES,KV_ALERT_RECEIVERS}.>",
		"$JS.API.CONSUMER.{INFO,DELETE}.{ALERTS,ALERTS_OUTBOX,KV_ALERT_GROUPS,KV_ALERT_SILENCES,KV_ALERT_RECEIVERS}.*",
		"$JS.API.CONSUMER.LIST.{ALERTS,ALERTS_OUTBOX}", "$JS.API.CONSUMER.MSG.NEXT.{ALERTS,ALERTS_OUTBOX}.*", "$JS.ACK.{ALERTS,ALERTS_OUTBOX}.>",
		"$JS.API.STREAM.MSG.DELETE.ALERTS_OUTBOX",
		"$JS.API.DIRECT.GET.{KV_ALERT_GROUPS,KV_ALERT_SILENCES,KV_ALERT_RECEIVERS}.>",
	), []string{
		"_INBOX_notifier.>", "notifier.silence.*", "notifier.acknowledge",
		"$SRV.PING", "$SRV.PING.notifier", "$SRV.PING.notifier.*", "$SRV.INFO", "$SRV.INFO.notifier", "$SRV.INFO.notifier.*",
		"$SRV.STATS", "$SRV.STATS.notifier", "$SRV.STATS.notifier.*",
	}},
}

// expand writes out {a,b} as a shell does.
func expand(patterns ...string) (out []string) {
	for _, p := range patterns {
		head, rest, ok := strings.Cut(p, "{")
		if !ok {
			out = append(out, p)
			continue
		}
		choices, rest, _ := strings.Cut(rest, "}")
		for choice := range strings.SplitSeq(choices, ",") {
			out = append(out, expand(head+choice+rest)...)
		}
	}
	return out
}

// covers tells whether everything that subject matches is matched by one of the patterns.
func covers(patterns []string, subject string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		have, want := strings.Split(pattern, "."), strings.Split(subject, ".")
		for i, token := range have {
			switch {
			case token == ">":
				return len(want) > i
			case i >= len(want), token != want[i] && (token != "*" || want[i] == ">"):
				return false
			}
		}
		return len(have) == len(want)
	})
}

// subjects are all calls for all streams and consumers, and the rest.
func subjects() []string {
	var out []string
	for _, call := range apiCalls {
		for _, stream := range allStreams {
			for _, consumer := range consumers {
				tokens := strings.Split(call, ".")
				for i, token := range tokens {
					switch token {
					case "S":
						tokens[i] = stream
					case "C":
						tokens[i] = consumer
					case ">":
						tokens[i] = "events.raw.acme.login"
					}
				}
				out = append(out, strings.Join(tokens, "."))
			}
		}
	}
	slices.Sort(out)
	return append(slices.Compact(out), otherSubjects...)
}

// refusals collects what the broker refuses, each subject behind one of the words.
const publishing, subscribing = "publish ", "subscribe "

type refusals struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (r *refusals) handle(_ *nats.Conn, _ *nats.Subscription, err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	kind := publishing
	if strings.Contains(err.Error(), "Subscription to") {
		kind = subscribing
	}
	_, subject, _ := strings.Cut(err.Error(), `"`)
	subject, _, _ = strings.Cut(subject, `"`)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[kind+subject] = true
}

// all waits for what the broker has said so far: errors come in the order of the wire,
// and marker is the last.
func (r *refusals) all(t *testing.T, nc *nats.Conn, marker string) map[string]bool {
	t.Helper()
	if err := nc.Publish(marker, nil); err != nil {
		t.Fatal(err)
	}
	until(t, "the broker has refused the last", func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.seen[publishing+marker] {
			return errors.New("not yet")
		}
		return nil
	})
	return r.seen
}

// TestPermissions tries every user against every subject: what it does not need is
// refused on the wire, what it needs is not.
func TestPermissions(t *testing.T) {
	t.Parallel()
	b := newLockedBroker(t, filepath.Join(t.TempDir(), "store"), false)
	checkAPICalls(t)
	all, tried := subjects(), 0
	for _, user := range users {
		r := &refusals{seen: map[string]bool{}}
		nc, err := b.connect(user, nats.ErrorHandler(r.handle))
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		defer nc.Close()
		for _, subject := range all {
			// Nothing that a call takes, so that those that are allowed have no effect.
			if err := nc.Publish(subject, []byte("?")); err != nil {
				t.Fatal(err)
			}
		}
		for _, subject := range wildcards {
			if _, err := nc.SubscribeSync(subject); err != nil {
				t.Fatal(err)
			}
		}
		refused, may := r.all(t, nc, "the.last"), allowed[user]
		for _, subject := range all {
			if want := !covers(may.publish, subject); refused[publishing+subject] != want {
				t.Errorf("%s publishes to %s: refused %v, want %v", user, subject, !want, want)
			}
		}
		for _, subject := range wildcards {
			if want := !covers(may.subscribe, subject); refused[subscribing+subject] != want {
				t.Errorf("%s subscribes to %s: refused %v, want %v", user, subject, !want, want)
			}
		}
		tried += len(all) + len(wildcards)
	}
	t.Logf("%d users, %d subjects to publish to and %d to subscribe to: %d tried", len(users), len(all), len(wildcards), tried)
}

// checkAPICalls compares the list with the server's source, so that a call of a later
// version is not forgotten.
func checkAPICalls(t *testing.T) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/nats-io/nats-server/v2").Output()
	if err != nil {
		t.Fatalf("look for nats-server's source: %v", err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "server", "jetstream_api.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^\s*JS\w+\s*=\s*"(\$JS\.API\.[^"%]*)"`).FindAllStringSubmatch(string(source), -1)
	if len(found) < 35 {
		t.Fatalf("found %d calls in nats-server's source", len(found))
	}
	for _, match := range found {
		if !slices.ContainsFunc(apiCalls, func(call string) bool { return covers(match[1:], strings.ReplaceAll(call, ">", "x")) }) {
			t.Errorf("nats-server has the call %s, which is not tried", match[1])
		}
	}
}

// TestWhoIsLetIn: nobody without a key or without TLS.
func TestWhoIsLetIn(t *testing.T) {
	t.Parallel()
	b := newLockedBroker(t, filepath.Join(t.TempDir(), "store"), false)
	theirs := filepath.Join(t.TempDir(), "keys") // another installation's
	if code := start(t, nil, []string{"KEYS_DIR=" + theirs}, "keys").wait(t); code != 0 {
		t.Fatalf("make keys: exit %d", code)
	}
	other, err := nats.NkeyOptionFromSeed(filepath.Join(theirs, "sink.nk"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		opts []nats.Option
		want string
	}{
		{"no key", []nats.Option{nats.RootCAs(b.key("ca.pem"))}, "Authorization"},
		{"a password", []nats.Option{nats.RootCAs(b.key("ca.pem")), nats.UserInfo("sink", "sink")}, "Authorization"},
		{"somebody's key", []nats.Option{nats.RootCAs(b.key("ca.pem")), other}, "Authorization"},
		{"another authority", []nats.Option{nats.RootCAs(filepath.Join(theirs, "ca.pem")), other}, "certificate"},
	} {
		nc, err := nats.Connect("nats://"+b.addr, tt.opts...)
		if err == nil {
			nc.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
	plain, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	_, _ = plain.Write([]byte("CONNECT {\"verbose\":true}\r\nPING\r\n"))
	_ = plain.SetReadDeadline(time.Now().Add(20 * time.Second))
	said := make([]byte, 64<<10)
	n := 0
	for {
		k, err := plain.Read(said[n:])
		if n += k; err != nil {
			break
		}
	}
	if strings.Contains(string(said[:n]), "PONG") || !strings.Contains(string(said[:n]), `"tls_required":true`) {
		t.Errorf("without TLS: the broker said %q", said[:n])
	}
}
