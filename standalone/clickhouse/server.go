package clickhouse

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"text/template"
	"time"
)

// oldestServer is the least release that is used: the sink's table needs
// projections with block sizes of their own.
var oldestServer = version{26, 7}

// version is ClickHouse's year and month of release.
type version struct{ year, month int }

func (v version) before(other version) bool {
	return v.year < other.year || v.year == other.year && v.month < other.month
}

// versionText finds the version in what clickhouse --version prints, such as
// "ClickHouse server version 25.8.1.5101 (official build).".
var versionText = regexp.MustCompile(`\bversion (\d{1,4})\.(\d{1,4})\.\d+`)

func parseVersion(output string) (version, bool) {
	match := versionText.FindStringSubmatch(output)
	if match == nil {
		return version{}, false
	}
	year, errYear := strconv.Atoi(match[1])
	month, errMonth := strconv.Atoi(match[2])
	return version{year, month}, errYear == nil && errMonth == nil
}

// server is an installed ClickHouse server.
type server struct {
	path string
	args []string // in front of the configuration
}

// versionTimeout bounds how long an executable may take to print its version.
const versionTimeout = 5 * time.Second

// findServer looks for a server that is new enough.
func findServer(ctx context.Context, lookPath func(string) (string, error), log *slog.Logger) (server, bool) {
	for _, candidate := range []struct {
		name string
		args []string
	}{{"clickhouse", []string{"server"}}, {"clickhouse-server", nil}} {
		path, err := lookPath(candidate.name)
		if err != nil {
			continue
		}
		asked, cancel := context.WithTimeout(ctx, versionTimeout)
		output, err := exec.CommandContext(asked, path, "--version").Output()
		cancel()
		found, ok := parseVersion(string(output))
		if err != nil || !ok || found.before(oldestServer) {
			log.Info("passing over the ClickHouse on PATH: not a server of the least version",
				"path", path, "version", fmt.Sprintf("%d.%d", found.year, found.month), "least", fmt.Sprintf("%d.%d", oldestServer.year, oldestServer.month))
			continue
		}
		return server{path: path, args: candidate.args}, true
	}
	return server{}, false
}

// serverConfig is a server's whole configuration, users included. The server
// logs to files beside its data: its log quotes statements.
var serverConfig = template.Must(template.New("config").Funcs(template.FuncMap{"xml": escapeXML}).Parse(`<clickhouse>
    <logger>
        <level>warning</level>
        <log>{{xml .Dir}}/clickhouse-server.log</log>
        <errorlog>{{xml .Dir}}/clickhouse-server.err.log</errorlog>
        <size>10M</size>
        <count>2</count>
    </logger>
    <listen_host>{{xml .Host}}</listen_host>
    <http_port>{{xml .Port}}</http_port>
    <path>{{xml .Dir}}/</path>
    <tmp_path>{{xml .Dir}}/tmp/</tmp_path>
    <user_files_path>{{xml .Dir}}/user_files/</user_files_path>
    <format_schema_path>{{xml .Dir}}/format_schemas/</format_schema_path>
    <timezone>UTC</timezone>
    <max_server_memory_usage>{{.MemoryBytes}}</max_server_memory_usage>
    <mark_cache_size>134217728</mark_cache_size>
    <user_directories>
        <users_xml>
            <path>{{xml .Dir}}/config.xml</path>
        </users_xml>
    </user_directories>
    <profiles>
        <default>
            <async_insert>0</async_insert>
        </default>
    </profiles>
    <quotas>
        <default/>
    </quotas>
    <users>
        <default>
            <password/>
            <networks>
                <ip>127.0.0.0/8</ip>
                <ip>::1</ip>
            </networks>
            <profile>default</profile>
            <quota>default</quota>
        </default>
    </users>
</clickhouse>
`))

func escapeXML(text string) (string, error) {
	var escaped bytes.Buffer
	err := xml.EscapeText(&escaped, []byte(text))
	return escaped.String(), err
}

// writeServerConfig writes the configuration into the data directory.
func writeServerConfig(dir, addr string, memoryMiB int) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("listen on %s: %w", addr, err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("create data directory: %w", err)
	}
	var config bytes.Buffer
	err = serverConfig.Execute(&config, map[string]any{
		"Host": host, "Port": port, "Dir": dir, "MemoryBytes": int64(memoryMiB) << 20,
	})
	if err != nil {
		return "", fmt.Errorf("make server configuration: %w", err)
	}
	path := filepath.Join(dir, "config.xml")
	if err := os.WriteFile(path, config.Bytes(), 0o600); err != nil {
		return "", fmt.Errorf("write server configuration: %w", err)
	}
	return path, nil
}

func startServer(ctx context.Context, cfg Config, found server) (*Process, error) {
	addr, err := freeAddr(ctx, cfg.Addr)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Join(cfg.Dir, serverFolder))
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	config, err := writeServerConfig(dir, addr, cfg.MemoryMiB)
	if err != nil {
		return nil, err
	}
	// ctx bounds the start, not the life of the process.
	command := exec.CommandContext(context.WithoutCancel(ctx), found.path, append(slices.Clip(found.args), "--config-file="+config)...)
	command.Dir = dir
	command.Env = childEnvironment()
	process := newProcess(command, cfg.Log)
	if err := process.start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", found.path, err)
	}
	cfg.Log.Info("starting the ClickHouse server on PATH", "path", found.path, "dir", dir)
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go announce(waiting, "http://"+addr, process.ready)
	return process.waitReady(ctx)
}

// pingInterval is how often a starting server is asked whether it answers.
const pingInterval = 50 * time.Millisecond

// announce says that a server is ready once it answers a ping: unlike the
// embedded engine it does not say so itself.
func announce(ctx context.Context, url string, ready chan<- string) {
	for ping(ctx, url+"/ping") != nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pingInterval):
		}
	}
	ready <- url
}

func ping(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // an answer was all that was wanted
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}
