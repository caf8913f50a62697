package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/standalone/clickhouse/chdb"
)

// roleVariable makes this test binary play another process: see roles.
const roleVariable = "SLUICE_TEST_ROLE"

// TestMain builds the real executable and lets the tests run it with the real
// library. Without the library they fail: nothing here means anything then.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "clickhouse-test-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := prepare(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the shared engine:", err)
		return 1
	}
	return code
}

// prepare builds the executable and names it and the library for every test.
func prepare(dir string) error {
	if os.Getenv("CHDB_LIB_PATH") == "" {
		if err := os.Chdir(".."); err != nil { // standalone/, where engine/ is
			return err
		}
		library, err := chdb.Locate("")
		if err != nil {
			return err
		}
		if err := errors.Join(os.Setenv("CHDB_LIB_PATH", library), os.Chdir("clickhouse")); err != nil {
			return err
		}
	}
	executable := filepath.Join(dir, "clickhouse-embedded")
	build := exec.Command("go", "build", "-o", executable, "../cmd/clickhouse-embedded")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build clickhouse-embedded: %w\n%s", err, output)
	}
	shared.dir = filepath.Join(dir, "shared")
	// What is installed on the machine must not decide what is tested.
	return errors.Join(os.Setenv("CLICKHOUSE_EMBEDDED_PATH", executable), os.Setenv("PATH", onlyTools(dir)))
}

// onlyTools gives a PATH without a ClickHouse.
func onlyTools(dir string) string { return filepath.Join(dir, "empty") }

// shared is the engine of every test that does not end or break it. Tests that
// share it use tables of their own.
var shared struct {
	sync.Once
	dir     string
	process *Process
	err     error
}

const startTimeout = time.Minute

func sharedURL(t *testing.T) string {
	t.Helper()
	shared.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		shared.process, shared.err = Start(ctx, Config{Addr: "127.0.0.1:0", Dir: shared.dir, MemoryMiB: 1024})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.process.URL()
}

func stopShared() error {
	if shared.process == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return shared.process.Stop(ctx)
}

// start runs an engine of the test's own on dir.
func start(t *testing.T, dir string, log *slog.Logger) *Process {
	t.Helper()
	return startWith(t, Config{Dir: dir, Log: log})
}

// startSmall runs an engine of the test's own that has little memory.
func startSmall(t *testing.T) *Process {
	t.Helper()
	return startWith(t, Config{Dir: t.TempDir(), MemoryMiB: 384})
}

func startWith(t *testing.T, cfg Config) *Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	cfg.Addr = "127.0.0.1:0"
	process, err := Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = process.Stop(ctx) // what matters about its end is tested where it does
	})
	return process
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

// code gives the code of the exception, or "".
func (a answer) code() string { return a.header.Get("X-ClickHouse-Exception-Code") }

// post sends a statement and gives the answer's body; anything but 200 fails.
func post(t *testing.T, base, statement string, params ...string) string {
	t.Helper()
	got := send(t, base, strings.NewReader(statement), params...)
	if got.status != http.StatusOK {
		t.Fatalf("%s: %d: %s", statement, got.status, got.body)
	}
	return got.body
}

// send posts a body. The URL parameters come as name, value, name, value.
func send(t *testing.T, base string, body io.Reader, params ...string) answer {
	t.Helper()
	values := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		values.Add(params[i], params[i+1])
	}
	return do(t, newRequest(t, http.MethodPost, base+"/?"+values.Encode(), body))
}

func newRequest(t *testing.T, method, target string, body io.Reader) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func do(t *testing.T, request *http.Request) answer {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: string(text)}
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
