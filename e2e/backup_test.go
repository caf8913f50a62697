package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

// TestBackupAndRestore does what docs/operations.md says of backups: the table is frozen, lost, and put together again from
// the frozen parts and what EVENTS_CLEAN still has.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	s := startStage(t)
	sink := s.startSink()
	s.untilClean()
	s.publish(1000)
	s.allStoredOnce()
	s.must("ALTER TABLE sluice.events FREEZE WITH NAME 'nightly'")
	s.publish(500)
	s.allStoredOnce()

	sink.signal(t, syscall.SIGTERM)
	if code := sink.wait(t); code != 0 {
		t.Fatalf("the sink ended with %d", code)
	}
	s.must("TRUNCATE TABLE sluice.events")
	data := s.must("SELECT arrayJoin(data_paths) FROM system.tables WHERE database = 'sluice' AND name = 'events'")
	parts := 0
	disk := s.must("SELECT path FROM system.disks WHERE name = 'default'")
	err := filepath.WalkDir(filepath.Join(disk, "shadow", "nightly"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if _, err := os.Stat(filepath.Join(path, "checksums.txt")); err != nil || strings.HasSuffix(path, ".proj") {
			return nil //nolint:nilerr // no part, but a folder of parts
		}
		part := filepath.Base(path)
		if err := os.CopyFS(filepath.Join(data, "detached", part), os.DirFS(path)); err != nil {
			return err
		}
		s.must("ALTER TABLE sluice.events ATTACH PART '" + part + "'")
		parts++
		return fs.SkipDir
	})
	if err != nil || parts == 0 {
		t.Fatalf("attached %d parts: %v", parts, err)
	}
	if got := s.must("SELECT count() FROM sluice.events"); got != "1000" {
		t.Fatalf("the backup has %s events, want 1000", got)
	}

	// The plan too: a sink that finds one goes on there, since all before it was stored once.
	if err := s.js.DeleteKeyValue(t.Context(), schemas.BucketSink); err != nil {
		t.Fatal(err)
	}
	if err := s.js.DeleteConsumer(t.Context(), schemas.StreamClean, schemas.ConsumerSink); err != nil {
		t.Fatal(err)
	}
	if s.lock != nil { // where the sink may not make the bucket, the redactor does
		start(t, nil, append(s.lock.as("redactor"), "HTTP_ADDR="), "redactor")
	}
	s.startSink()
	until(t, "the sink reads again", func() error {
		_, err := s.js.Consumer(t.Context(), schemas.StreamClean, schemas.ConsumerSink)
		return err
	})
	s.allStoredOnce()
}

// TestStreamBackup saves EVENTS_CLEAN from one broker and restores it in another, by the API that `nats backup stream` uses:
// the consumer goes on where it was, and nothing is stored twice.
func TestStreamBackup(t *testing.T) {
	if locked() {
		t.Skip("the broker of the other tests is open: a snapshot is the operator's, whose key no test's observer has")
	}
	t.Parallel()
	s := startStage(t)
	sink := s.startSink()
	s.untilClean()
	s.publish(700)
	s.allStoredOnce()
	sink.signal(t, syscall.SIGTERM)
	if code := sink.wait(t); code != 0 {
		t.Fatalf("the sink ended with %d", code)
	}
	s.publish(300) // these are in the backup alone
	saved, err := s.js.Stream(t.Context(), schemas.StreamClean)
	if err != nil {
		t.Fatal(err)
	}
	config, blocks := snapshot(t, s.js.Conn(), schemas.StreamClean)

	other, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(),
		MaxPayload: schemas.MaxPayloadBytes, NoLog: true, NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	other.Start()
	t.Cleanup(func() { other.Shutdown(); other.WaitForShutdown() })
	if !other.ReadyForConnections(10 * time.Second) {
		t.Fatal("the other broker did not get ready")
	}
	nc, err := nats.Connect(other.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	restore(t, nc, schemas.StreamClean, config, blocks)

	s.broker, s.env = other, []string{"NATS_URL=" + other.ClientURL()}
	if s.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	restored, err := s.js.Stream(t.Context(), schemas.StreamClean)
	if err != nil {
		t.Fatal(err)
	}
	got, want := restored.CachedInfo().State, saved.CachedInfo().State
	if got.Msgs != want.Msgs || got.FirstSeq != want.FirstSeq || got.LastSeq != want.LastSeq {
		t.Errorf("restored %d messages, %d to %d; want %d, %d to %d", got.Msgs, got.FirstSeq, got.LastSeq, want.Msgs, want.FirstSeq, want.LastSeq)
	}
	s.startSink()
	s.allStoredOnce()
}

func (s *stage) must(statement string) string {
	s.t.Helper()
	got, err := s.ask(statement)
	if err != nil {
		s.t.Fatalf("%s: %v", statement, err)
	}
	return got
}

// untilClean waits until the sink has made its stream and its consumer.
func (s *stage) untilClean() {
	s.t.Helper()
	until(s.t, "the sink reads", func() error {
		_, err := s.js.Consumer(s.t.Context(), schemas.StreamClean, schemas.ConsumerSink)
		return err
	})
}

// call asks JetStream's API, and returns the answer.
func call(t *testing.T, nc *nats.Conn, subject string, request any) []byte {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := nc.Request(subject, body, 20*time.Second)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	var failed struct {
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &failed); err != nil || failed.Error != nil {
		t.Fatalf("%s: %s", subject, msg.Data)
	}
	return msg.Data
}

// snapshot saves a stream with its consumers.
func snapshot(t *testing.T, nc *nats.Conn, stream string) (config, blocks []byte) {
	t.Helper()
	inbox := nats.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Config json.RawMessage `json:"config"`
		State  json.RawMessage `json:"state"`
	}
	if err := json.Unmarshal(call(t, nc, "$JS.API.STREAM.SNAPSHOT."+stream, map[string]any{"deliver_subject": inbox}), &answer); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for {
		msg, err := sub.NextMsg(20 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if len(msg.Data) == 0 { // the end
			break
		}
		all.Write(msg.Data)
		if msg.Reply != "" {
			_ = msg.Respond(nil)
		}
	}
	return fmt.Appendf(nil, `{"config":%s,"state":%s}`, answer.Config, answer.State), all.Bytes()
}

// restore makes the stream of what snapshot saved.
func restore(t *testing.T, nc *nats.Conn, stream string, config, blocks []byte) {
	t.Helper()
	var answer struct {
		DeliverSubject string `json:"deliver_subject"`
	}
	if err := json.Unmarshal(call(t, nc, "$JS.API.STREAM.RESTORE."+stream, json.RawMessage(config)), &answer); err != nil {
		t.Fatal(err)
	}
	const chunk = 128 << 10
	for len(blocks) > 0 {
		n := min(chunk, len(blocks))
		if _, err := nc.Request(answer.DeliverSubject, blocks[:n], 20*time.Second); err != nil {
			t.Fatal(err)
		}
		blocks = blocks[n:]
	}
	if _, err := nc.Request(answer.DeliverSubject, nil, 20*time.Second); err != nil {
		t.Fatal(err)
	}
}
