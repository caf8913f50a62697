// Package clickhouse runs a ClickHouse for one machine as a child process: a
// ClickHouse server where one is installed, the embedded engine otherwise.
//
// It owns the child from start to end. It promises that Start returns when the
// child answers, that the child's log lines reach the given logger, and that the
// child never outlives this process, not even when that is killed. It refuses to
// restart a child that died: that is for the caller, who knows whether to.
package clickhouse

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// Config says where ClickHouse listens and where its data is.
type Config struct {
	// Addr is host:port on a loopback address. Port 0 takes a free one.
	Addr string
	// Dir holds the data. The embedded engine and a server have a folder each in
	// it, because a server may be older than the engine and unable to read what
	// that wrote.
	Dir string
	// EmbeddedPath is the clickhouse-embedded executable. Empty takes
	// CLICKHOUSE_EMBEDDED_PATH, or else the one beside this executable.
	EmbeddedPath string
	// LibPath is the engine's library. Empty takes CHDB_LIB_PATH, or else the
	// place where npm installs it.
	LibPath string
	// MemoryMiB bounds the memory of ClickHouse. Zero is 2048.
	MemoryMiB int
	// Log takes the child's log lines; nil drops them.
	Log *slog.Logger
}

const defaultMemoryMiB = 2048

// The folders in Config.Dir.
const (
	embeddedFolder = "embedded"
	serverFolder   = "server"
)

// Start starts ClickHouse and returns when it answers queries. Once it has
// returned, ctx means nothing to the process: end it with [Process.Stop].
func Start(ctx context.Context, cfg Config) (*Process, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MemoryMiB == 0 {
		cfg.MemoryMiB = defaultMemoryMiB
	}
	if server, ok := chooseServer(ctx, cfg); ok {
		return startServer(ctx, cfg, server)
	}
	return startEmbedded(ctx, cfg)
}

// chooseServer finds a server on PATH and decides whether it is the one to run.
// Data decides first: it stays with the kind of ClickHouse that wrote it.
func chooseServer(ctx context.Context, cfg Config) (server, bool) {
	if hasData(filepath.Join(cfg.Dir, embeddedFolder)) {
		return server{}, false
	}
	found, ok := findServer(ctx, exec.LookPath, cfg.Log)
	if !ok && hasData(filepath.Join(cfg.Dir, serverFolder)) {
		cfg.Log.Warn("the ClickHouse server that wrote this data is gone, starting the embedded engine without it",
			"dir", filepath.Join(cfg.Dir, serverFolder))
	}
	return found, ok
}

// hasData reports whether a ClickHouse has kept tables in the folder.
func hasData(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "metadata"))
	return err == nil && info.IsDir()
}

func startEmbedded(ctx context.Context, cfg Config) (*Process, error) {
	path, err := locateEmbedded(cfg.EmbeddedPath)
	if err != nil {
		return nil, err
	}
	// ctx bounds the start, not the life of the process.
	command := exec.CommandContext(context.WithoutCancel(ctx), path,
		"-addr", cfg.Addr, "-path", filepath.Join(cfg.Dir, embeddedFolder), "-memory", strconv.Itoa(cfg.MemoryMiB))
	command.Env = childEnvironment("LOG_FORMAT=json", "CHDB_LIB_PATH="+firstOf(cfg.LibPath, os.Getenv("CHDB_LIB_PATH")))
	process := newProcess(command, cfg.Log)
	if err := process.start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return process.waitReady(ctx)
}

// locateEmbedded finds the executable of the embedded engine.
func locateEmbedded(configured string) (string, error) {
	path := firstOf(configured, os.Getenv("CLICKHOUSE_EMBEDDED_PATH"))
	if path == "" {
		executable, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("find clickhouse-embedded: %w", err)
		}
		path = filepath.Join(filepath.Dir(executable), "clickhouse-embedded")
	}
	info, err := os.Stat(path) // #nosec G703 -- the user's own choice of executable
	if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("clickhouse-embedded is not at %s: run `make build`, or set CLICKHOUSE_EMBEDDED_PATH or CLICKHOUSE_URL", path)
	}
	return filepath.Abs(path)
}

// childEnvironment is what the child gets of this process's environment. The
// rest stays here: it holds passwords, and SQL can read files such as
// /proc/self/environ.
func childEnvironment(extra ...string) []string {
	environment := extra
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG", "LOG_LEVEL"} {
		if value, ok := os.LookupEnv(name); ok {
			environment = append(environment, name+"="+value)
		}
	}
	return environment
}

// freeAddr replaces port 0 by a port that is free at the moment.
func freeAddr(ctx context.Context, addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("listen on %s: %w", addr, err)
	}
	if port != "0" {
		return addr, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", fmt.Errorf("find a free port on %s: %w", host, err)
	}
	defer func() { _ = listener.Close() }() // only its port was wanted
	return listener.Addr().String(), nil
}

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}
