package faults

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// world is everything that runs.
type world struct {
	cfg   Config
	dir   string
	disk  disk
	procs map[string]*proc
	order []string // of starting
	links map[string]*link
	// metrics are where services show theirs, by process.
	metrics map[string]string
	clocks  map[string]*clock

	brokerAddr, clickhouseAddr, doorAddr string
	token                                string
	receiver                             *receiver

	// nc and js are the harness's own connection, which nothing disturbs but the
	// broker's own end.
	nc *nats.Conn
	js jetstream.JetStream
}

// newWorld lays everything out, and starts nothing.
func newWorld(cfg Config) (*world, error) {
	w := &world{
		cfg: cfg, dir: cfg.Dir, procs: map[string]*proc{}, links: map[string]*link{},
		metrics: map[string]string{}, clocks: map[string]*clock{},
	}
	for _, folder := range []string{"logs", "run", "clickhouse"} {
		if err := os.MkdirAll(filepath.Join(w.dir, folder), 0o700); err != nil {
			return nil, err
		}
	}
	var err error
	if w.disk, err = newDisk(w.dir, cfg.Disk); err != nil {
		return nil, err
	}
	if err := w.layOut(); err != nil {
		return nil, errors.Join(err, w.disk.close())
	}
	return w, nil
}

func (w *world) layOut() error {
	var err error
	if w.receiver, err = newReceiver(); err != nil {
		return err
	}
	w.brokerAddr, w.clickhouseAddr = freeAddr(), freeAddr()
	if err := w.layLinks(); err != nil {
		return err
	}
	if err := w.writeFiles(); err != nil {
		return err
	}
	return w.addProcesses()
}

func (w *world) layLinks() error {
	open := newLinks()
	for name, upstream := range map[string]string{
		"producer-broker": w.brokerAddr, "redactor-broker": w.brokerAddr, "sink-broker": w.brokerAddr,
		"notifier-broker": w.brokerAddr, "sink-clickhouse": w.clickhouseAddr, "notifier-receiver": w.receiver.addr,
	} {
		l, err := open(name, upstream)
		if err != nil {
			return err
		}
		w.links[name] = l
	}
	return nil
}

// writeFiles writes the configuration of the broker, as it is shipped, of the
// notifier and of the door.
func (w *world) writeFiles() error {
	_, port, err := net.SplitHostPort(w.brokerAddr)
	if err != nil {
		return err
	}
	token := sha256.Sum256([]byte(strconv.FormatUint(w.cfg.Seed, 10)))
	w.token = hex.EncodeToString(token[:])
	for name, text := range map[string]string{
		"nats.conf": fmt.Sprintf("listen: 127.0.0.1:%s\nserver_name: faults\nlogtime_utc: true\nmax_payload: 4MB\njetstream {\n  store_dir: %q\n  max_file_store: 1TB\n  sync_interval: always\n}\n", port, w.disk.path()),
		"notifier.yaml": "version: 1\nreceivers:\n  hook: {type: webhook, url: 'http://" + w.links["notifier-receiver"].addr() + "/', allow: 127.0.0.0/8, rate: 1000/s, timeout: 5s}\n" +
			"rules:\n  - name: probe\n    match: {action: fault_probe}\n    receivers: hook\n    severity: alert\n    title: 'probe {{.context.probe}}'\n",
		"tokens": "door " + doorTenant + " * " + w.token + "\n",
	} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// The tenants of events that come by the door and by the command.
const (
	doorTenant  = "door"
	pipedTenant = "piped"
)

func (w *world) addProcesses() error {
	via := func(link string) string { return "NATS_URL=nats://" + w.links[link].addr() }
	w.add("broker", "nats-server", nil, "-c", filepath.Join(w.dir, "nats.conf"))
	w.add("clickhouse", "clickhouse-embedded", nil, "-addr", w.clickhouseAddr, "-path", filepath.Join(w.dir, "clickhouse"))
	w.procs["clickhouse"].hold = true
	for i := range 2 {
		number := strconv.Itoa(i)
		w.add("redactor-"+number, "redactor", []string{via("redactor-broker")})
		w.add("sink-"+number, "sink", []string{via("sink-broker"), "CLICKHOUSE_URL=http://" + w.links["sink-clickhouse"].addr(), "SINK_BATCH_ROWS=5000"})
		w.add("notifier-"+number, "notifier", []string{
			via("notifier-broker"), "NOTIFIER_CONFIG=" + filepath.Join(w.dir, "notifier.yaml"),
			"NOTIFIER_GROUP_INTERVAL=1s", "NOTIFIER_RESOLVE_AFTER=5s", "NOTIFIER_STORM_LIMIT=0",
		})
	}
	w.doorAddr = freeAddr()
	w.add("door", "producer", []string{
		via("producer-broker"), "PRODUCER_SERVE_ADDR=" + w.doorAddr, "PRODUCER_TOKENS_FILE=" + filepath.Join(w.dir, "tokens"),
	}, "serve")
	w.procs["publish"] = &proc{ // started by the load, for each file once
		name: "publish", path: w.cfg.binary("producer"), env: []string{via("producer-broker")},
		args: []string{"publish", "-tenant", pipedTenant, w.pipedFile()},
		dir:  filepath.Join(w.dir, "run", "publish"), logs: filepath.Join(w.dir, "logs", "publish.log"),
	}
	for name := range w.procs {
		if w.cfg.ClockBin == "" || name == "clickhouse" || name == "door" || name == "publish" {
			continue
		}
		c, err := newClock(filepath.Join(w.dir, "run", name+".clock"))
		if err != nil {
			return err
		}
		w.clocks[name] = c
		w.procs[name].env = append(w.procs[name].env, clockVariable+"="+c.path)
	}
	return nil
}

// pipedFile is what `producer publish` reads.
func (w *world) pipedFile() string { return filepath.Join(w.dir, "piped.ndjson") }

func (w *world) add(name, binary string, env []string, args ...string) {
	if binary != "nats-server" {
		env = append(env, "LOG_FORMAT=json")
	}
	if binary != "nats-server" && binary != "clickhouse-embedded" {
		addr := freeAddr()
		w.metrics[name] = "http://" + addr
		env = append(env, "HTTP_ADDR="+addr)
	}
	w.procs[name] = &proc{
		name: name, path: w.cfg.binary(binary), args: args, env: env,
		dir: filepath.Join(w.dir, "run", name), logs: filepath.Join(w.dir, "logs", name+".log"),
	}
	w.order = append(w.order, name)
}

// start starts everything and waits until it is ready.
func (w *world) start(ctx context.Context) error {
	for _, name := range w.order {
		if err := w.procs[name].start(); err != nil {
			return err
		}
		switch name {
		case "broker":
			if err := until(ctx, time.Minute, "the broker is there", w.connect); err != nil {
				return err
			}
		case "clickhouse":
			if err := until(ctx, time.Minute, "ClickHouse is there", func() error { _, err := w.ask(ctx, "SELECT 1"); return err }); err != nil {
				return err
			}
		}
	}
	return w.ready(ctx, time.Minute)
}

// ready waits until every service says that it is.
func (w *world) ready(ctx context.Context, most time.Duration) error {
	return until(ctx, most, "all services are ready", func() error {
		var errs []error
		for name, address := range w.metrics {
			if _, err := get(ctx, address+"/readyz"); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
		return errors.Join(errs...)
	})
}

func (w *world) connect() error {
	nc, err := nats.Connect("nats://"+w.brokerAddr, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.Name("faults"))
	if err != nil {
		return err
	}
	w.nc = nc
	w.js, err = jetstream.New(nc)
	return err
}

// close ends everything, services first.
func (w *world) close() error {
	var errs []error
	for i := range w.order {
		p := w.procs[w.order[len(w.order)-1-i]]
		if w.nc != nil && p.name == "broker" {
			w.nc.Close()
		}
		errs = append(errs, p.end(sigTerm))
	}
	for _, l := range w.links {
		l.close()
	}
	if w.receiver != nil {
		w.receiver.close()
	}
	return errors.Join(errs...)
}

// freeAddr is an address that nobody listens on, below the ports that the system
// gives to whoever asks for any: a server that is killed finds it free again.
func freeAddr() string {
	for {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(20_000+rand.IntN(12_000)))
		if l, err := net.Listen("tcp", addr); err == nil { //nolint:noctx // it is closed at once
			_ = l.Close()
			return addr
		}
	}
}

// until polls a condition; it is how a run waits for another process.
func until(ctx context.Context, most time.Duration, what string, ok func() error) error {
	var err error
	for deadline := time.Now().Add(most); time.Now().Before(deadline); pause(ctx, 50*time.Millisecond) {
		if err = ok(); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("waited in vain for %s until %s: %w", most, what, err)
}

// get gets a page.
func get(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	return send(req)
}

// ask asks ClickHouse, past all links.
func (w *world) ask(ctx context.Context, statement string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+w.clickhouseAddr+"/", strings.NewReader(statement))
	if err != nil {
		return "", err
	}
	return send(req)
}

func send(req *http.Request) (string, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("HTTP %d: %.200s", resp.StatusCode, body)
	}
	return strings.TrimSuffix(string(body), "\n"), err
}
