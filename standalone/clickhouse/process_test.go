package clickhouse

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// play makes this test binary the process that a test needs: a parent that
// starts an engine and is then killed, or an installed ClickHouse server.
func play(role string) int {
	if role == "parent" {
		return playParent()
	}
	return playServer(role, os.Args[1:])
}

func playParent() int {
	process, err := Start(context.Background(), Config{Addr: "127.0.0.1:0", Dir: os.Args[1]})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintln(os.Stdout, process.command.Process.Pid, process.URL())
	<-process.Done()
	return 0
}

// alive reports whether a process exists.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestStopAndRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, dir, nil)
	post(t, first.URL(), "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	post(t, first.URL(), "INSERT INTO t VALUES (1)")
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if first.Err() != nil {
		t.Errorf("after Stop: %v", first.Err())
	}
	if got := post(t, start(t, dir, nil).URL(), "SELECT * FROM t"); got != "1\n" {
		t.Errorf("after a restart: %q", got)
	}
}

// TestKilledEngine kills the engine under load and holds that every acknowledged
// insert is there after the restart.
func TestKilledEngine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	process := start(t, dir, nil)
	base := process.URL()
	post(t, base, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	acknowledged := make(chan int)
	go func() {
		for n := 0; ; n++ {
			response, err := http.Post(base, "", strings.NewReader(fmt.Sprintf("INSERT INTO t SELECT number + %d FROM numbers(1000)", n*1000)))
			if err != nil {
				acknowledged <- n
				return
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				acknowledged <- n
				return
			}
		}
	}()
	eventually(t, "ten inserts are stored", func() bool {
		count, err := strconv.Atoi(strings.TrimSpace(post(t, base, "SELECT count() FROM t")))
		return err == nil && count >= 10_000
	})
	if err := process.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-process.Done()
	if err := process.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("Err() = %v, want one that says killed", err)
	}
	n := <-acknowledged
	got := post(t, start(t, dir, nil).URL(), fmt.Sprintf("SELECT countIf(a < %d), count() = uniqExact(a) FROM t", n*1000))
	if want := fmt.Sprintf("%d\t1\n", n*1000); got != want {
		t.Errorf("%d inserts acknowledged, got %q, want %q", n, got, want)
	}
}

// TestKilledParent kills the parent with SIGKILL and holds that the engine ends,
// and that another takes over.
func TestKilledParent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	parent := exec.Command(os.Args[0], dir) // #nosec G204 -- this test binary
	parent.Env = append(os.Environ(), roleVariable+"=parent")
	parent.Stderr = os.Stderr
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	var base string
	if _, err := fmt.Sscan(line, &pid, &base); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	post(t, base, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	post(t, base, "INSERT INTO t VALUES (1)")
	// Something that hangs must not keep the engine.
	go func() {
		response, err := http.Post(base, "", strings.NewReader("SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"))
		if err == nil {
			_ = response.Body.Close()
		}
	}()
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed, as it says
	eventually(t, "the engine ends", func() bool { return !alive(pid) })
	if got := post(t, start(t, dir, nil).URL(), "SELECT * FROM t"); got != "1\n" {
		t.Errorf("after the takeover: %q", got)
	}
}

// TestDrain holds that SIGTERM lets a running insert finish, and that a query
// which does not end is killed.
func TestDrain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	process := start(t, dir, nil)
	base := process.URL()
	post(t, base, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	results := make(chan string, 2)
	run := func(statement, comment string) {
		response, err := http.Post(base+"/?log_comment="+comment, "", strings.NewReader(statement))
		if err != nil {
			results <- comment + " failed"
			return
		}
		_ = response.Body.Close()
		results <- comment + " " + strconv.Itoa(response.StatusCode)
	}
	go run("INSERT INTO t SELECT number + sleepEachRow(0.1) FROM numbers(10)", "insert")
	go run("SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1", "endless")
	eventually(t, "both run", func() bool {
		return post(t, base, "SELECT count() FROM system.processes WHERE Settings['log_comment'] IN ('insert', 'endless')") == "2\n"
	})
	if err := process.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-process.Done()
	got := []string{<-results, <-results}
	if joined := strings.Join(got, ", "); !strings.Contains(joined, "insert 200") || !strings.Contains(joined, "endless failed") {
		t.Errorf("got %s, want insert 200 and endless failed", joined)
	}
	if got := post(t, start(t, dir, nil).URL(), "SELECT count() FROM t"); got != "10\n" {
		t.Errorf("rows after the drain: %q, want 10", got)
	}
}

// TestHangingQuery holds that a query which cannot be killed does not keep the
// process: this one compares strings within a single block for minutes.
func TestHangingQuery(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	process := start(t, dir, nil)
	base := process.URL()
	post(t, base, "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
	post(t, base, "INSERT INTO t VALUES (1)")
	go func() {
		const hang = "SELECT sum(editDistance(materialize(repeat('a', 16000)), materialize(repeat('b', 16000)))) FROM numbers(10000) SETTINGS max_threads = 1, log_comment = 'hang'"
		response, err := http.Post(base, "", strings.NewReader(hang))
		if err == nil {
			_ = response.Body.Close()
		}
	}()
	eventually(t, "the query runs", func() bool {
		return post(t, base, "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'hang'") == "1\n"
	})
	if err := process.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-process.Done()
	if err := process.Err(); err == nil || !strings.Contains(err.Error(), "drain") {
		t.Errorf("Err() = %v, want one about draining", err)
	}
	if got := post(t, start(t, dir, nil).URL(), "SELECT * FROM t"); got != "1\n" {
		t.Errorf("after the restart: %q", got)
	}
}
