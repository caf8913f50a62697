// Package stage measures: it starts what takes part, each a process of its own,
// feeds it, and follows how far it has come.
package stage

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go"

	"sluice/bench/bare"
	"sluice/bench/events"
	"sluice/bench/peer"
	"sluice/bench/proc"
	"sluice/internal/broker"
	"sluice/schemas"
)

// rig is a broker of its own, empty, and with it perhaps a ClickHouse. Whatever is
// measured gets a new one, so that nothing is left of what ran before.
type rig struct {
	env        peer.Env
	broker     *proc.Process
	clickhouse *proc.Process // nil for a server that was there before
	conn       *broker.Conn
	disconnect func()
	db         driver.Conn
	owned      []*proc.Process // what the contender consists of
}

// store is the ClickHouse that all measurements use.
type store struct {
	// url is that of a server, "" for an embedded one for each rig.
	url string
}

var quiet = slog.New(slog.DiscardHandler)

// newRig starts the broker with that sync_interval, "" for its default.
func (h *Harness) newRig(ctx context.Context, sync string, withClickHouse bool) (r *rig, err error) {
	dir, err := os.MkdirTemp(h.cfg.Dir, "bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the servers: %w", err)
	}
	r = &rig{env: peer.Env{Bin: h.cfg.Bin, Self: h.cfg.Self, Dir: dir, Instances: 1}}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if err := r.startBroker(ctx, sync); err != nil {
		return r, err
	}
	if withClickHouse {
		err = r.startClickHouse(ctx, h.store)
	}
	return r, err
}

func (r *rig) startBroker(ctx context.Context, sync string) error {
	addr, err := freeAddr(ctx)
	if err != nil {
		return err
	}
	if sync != "" {
		sync = "sync_interval: " + sync
	}
	config := fmt.Sprintf("listen: %q\nmax_payload: %d\njetstream { store_dir: %q, max_file_store: 1TB, %s }\n",
		addr, schemas.MaxPayloadBytes, filepath.Join(r.env.Dir, "nats"), sync)
	path := filepath.Join(r.env.Dir, "nats.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return err
	}
	r.broker, err = proc.Start(ctx, proc.Spec{Name: "nats-server", Path: filepath.Join(r.env.Bin, "nats-server"), Args: []string{"-c", path}})
	if err != nil {
		return err
	}
	r.env.NATSURL = "nats://" + addr
	r.conn, err = broker.Connect(ctx, r.nats(), "bench", quiet)
	if err != nil {
		return errors.Join(err, r.broker.Failed())
	}
	r.disconnect = r.conn.Close // which has no context: that of the rig has ended by then
	return r.conn.EnsureStreams(ctx, schemas.Streams()...)
}

func (r *rig) nats() broker.NATS {
	return broker.NATS{URL: r.env.NATSURL, ConnectWait: 20 * time.Second}
}

func (r *rig) startClickHouse(ctx context.Context, s store) (err error) {
	r.env.ClickHouseURL = s.url
	if s.url == "" {
		if err := r.startEmbedded(ctx); err != nil {
			return err
		}
	}
	opts, err := clickhouse.ParseDSN(r.env.ClickHouseURL)
	if err != nil {
		return fmt.Errorf("CLICKHOUSE_URL: %w", err)
	}
	opts.Auth.Database = ""
	if r.db, err = clickhouse.Open(opts); err != nil {
		return fmt.Errorf("open ClickHouse: %w", err)
	}
	if s.url != "" {
		return r.forget(ctx)
	}
	return nil
}

// forget empties a server that serves several rigs. The harness has made sure that
// there was no such database before.
func (r *rig) forget(ctx context.Context) error {
	for _, database := range []string{"sluice", peer.OTelDatabase} {
		if err := r.db.Exec(ctx, "DROP DATABASE IF EXISTS "+database+" SYNC"); err != nil {
			return fmt.Errorf("empty ClickHouse: %w", err)
		}
	}
	return nil
}

// The embedded ClickHouse says on a line where it listens.
const readyWait = 60 * time.Second

func (r *rig) startEmbedded(ctx context.Context) error {
	out, in := io.Pipe()
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n') // an end without a line is seen below
		lines <- strings.TrimSpace(line)
		_, _ = io.Copy(io.Discard, out)
	}()
	var err error
	r.clickhouse, err = proc.Start(ctx, proc.Spec{
		Name: "clickhouse", Path: filepath.Join(r.env.Bin, "clickhouse-embedded"),
		Args:   []string{"-addr", "127.0.0.1:0", "-path", filepath.Join(r.env.Dir, "clickhouse")},
		Stdout: in, EndsWithStdin: true,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	select {
	case line := <-lines:
		url, found := strings.CutPrefix(line, "ready ")
		if !found {
			return fmt.Errorf("the embedded ClickHouse printed %q instead of where it listens", line)
		}
		r.env.ClickHouseURL = url
		return nil
	case <-r.clickhouse.Done():
		return r.clickhouse.Failed()
	case <-ctx.Done():
		return fmt.Errorf("wait for the embedded ClickHouse: %w", ctx.Err())
	}
}

// servers are the processes that every contender works with.
func (r *rig) servers() []*proc.Process {
	all := []*proc.Process{r.broker}
	if r.clickhouse != nil {
		all = append(all, r.clickhouse)
	}
	return all
}

// close stops everything and removes what it has stored.
func (r *rig) close() error {
	errs := []error{r.stopOwned()}
	if r.disconnect != nil {
		r.disconnect()
	}
	if r.db != nil {
		errs = append(errs, r.db.Close())
	}
	if r.clickhouse != nil {
		errs = append(errs, r.clickhouse.Stop())
	}
	if r.broker != nil {
		errs = append(errs, r.broker.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(r.env.Dir), settleDisk(filepath.Dir(r.env.Dir)))...)
}

// settleDisk has the file system finish what removing gigabytes has left it to do: it gives
// the blocks back in its next commits, and whatever is measured then would wait for those
// each time it syncs.
func settleDisk(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// stopOwned stops the contender, so that another one may work on the same servers.
func (r *rig) stopOwned() error {
	var errs []error
	for _, p := range r.owned {
		errs = append(errs, p.Stop())
	}
	r.owned = nil
	return errors.Join(errs...)
}

// makeRoom enlarges the streams where so many bytes of events need it, headers and
// masks included.
func (r *rig) makeRoom(ctx context.Context, size int64) error {
	for _, name := range []string{schemas.StreamRaw, schemas.StreamClean} {
		stream, err := r.conn.JS.Stream(ctx, name)
		if err != nil {
			return fmt.Errorf("look at %s: %w", name, err)
		}
		config := stream.CachedInfo().Config
		if config.MaxBytes >= 2*size {
			continue
		}
		config.MaxBytes = 2 * size
		if _, err := r.conn.JS.UpdateStream(ctx, config); err != nil {
			return fmt.Errorf("enlarge %s: %w", name, err)
		}
	}
	return nil
}

// fill publishes n events to a stream and returns how large they are. tenant says
// whose event i is.
func (r *rig) fill(ctx context.Context, subject func(tenant, action string) string, pool *events.Pool, n int, tenant func(i int) string,
) (size int64, err error) {
	const batchBytes = 4 << 20
	for done := 0; done < n; {
		var msgs []*nats.Msg
		for filled := 0; done < n && len(msgs) < broker.MaxBatchMsgs && filled < batchBytes; done++ {
			ev := pool.Next()
			msg := bare.Message(subject(tenant(done), ev.Action), ev.PK, bytes.Clone(ev.JSON))
			if ev.Redacted != "" {
				msg.Header[schemas.HeaderRedacted] = []string{ev.Redacted}
			}
			msgs, filled = append(msgs, msg), filled+len(ev.JSON)
			size += int64(len(ev.JSON))
		}
		for _, result := range r.conn.Publish(ctx, msgs) {
			if result.Err != nil || result.Duplicate {
				return size, fmt.Errorf("fill the stream: %w, duplicate: %t", result.Err, result.Duplicate)
			}
		}
	}
	return size, nil
}

func freeAddr(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
