package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"sluice/internal/daemon"
	"sluice/schemas"
)

// startBroker starts the embedded nats-server as Sluice ships it: file storage,
// and an acknowledgement means that the event is on disk.
func startBroker(ctx context.Context, cfg Config, log *slog.Logger) (*server.Server, error) {
	host, port, err := hostPort(cfg.NATSAddr)
	if err != nil {
		return nil, fmt.Errorf("STANDALONE_NATS_ADDR: %w", err)
	}
	if err := checkFree(ctx, cfg.NATSAddr, "STANDALONE_NATS_ADDR"); err != nil {
		return nil, err
	}
	ns, err := server.NewServer(&server.Options{
		ServerName: "sluice", Host: host, Port: port,
		JetStream: true, StoreDir: filepath.Join(cfg.Dir, "nats"),
		SyncAlways: true,
		// What the streams may use is bounded by their own sizes.
		JetStreamMaxStore: maxStore,
		MaxPayload:        schemas.MaxPayloadBytes,
		NoSigs:            true,
	})
	if err != nil {
		return nil, fmt.Errorf("set up the broker: %w", err)
	}
	ns.SetLoggerV2(natsLog{log}, false, false, false)
	ns.Start()
	if !ns.ReadyForConnections(brokerWait) {
		stopBroker(ns)
		return nil, fmt.Errorf("start the broker on %s in %s: not ready after %s; the log says why", cfg.NATSAddr, cfg.Dir, brokerWait)
	}
	return ns, nil
}

const (
	maxStore = 1 << 40
	// brokerWait allows for the recovery of large streams after a crash.
	brokerWait = time.Minute
)

func stopBroker(ns *server.Server) {
	ns.Shutdown()
	ns.WaitForShutdown()
}

// hostPort splits an address; port 0 is any free one, which nats-server calls -1.
func hostPort(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	if port, err = strconv.Atoi(text); err != nil {
		return "", 0, errors.New("the port is not a number")
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// checkFree says in one line that an address is taken, which nats-server and
// ClickHouse would say less clearly.
func checkFree(ctx context.Context, addr, setting string) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return daemon.ListenError(addr, setting, err)
	}
	return listener.Close()
}

// natsLog passes on what nats-server has to warn of; what it notes at start is
// noise here.
type natsLog struct{ log *slog.Logger }

func (l natsLog) Noticef(format string, v ...any) {
	l.log.Debug("nats-server", "note", fmt.Sprintf(format, v...))
}

func (l natsLog) Warnf(format string, v ...any) {
	l.log.Warn("nats-server", "warning", fmt.Sprintf(format, v...))
}

func (l natsLog) Errorf(format string, v ...any) {
	l.log.Error("nats-server", "error", fmt.Sprintf(format, v...))
}

func (l natsLog) Fatalf(format string, v ...any) {
	l.log.Error("nats-server", "fatal", fmt.Sprintf(format, v...))
}
func (l natsLog) Debugf(string, ...any) {}
func (l natsLog) Tracef(string, ...any) {}
