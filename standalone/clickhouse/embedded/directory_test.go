package embedded

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestLockDirectory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "data")
	held, err := lockDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = lockDirectory(path)
	want := "data directory " + path + " is in use by another engine, process " + strconv.Itoa(os.Getpid())
	if err == nil || err.Error() != want {
		t.Errorf("second lock: got %v, want %s", err, want)
	}
	held.release()
	again, err := lockDirectory(path)
	if err != nil {
		t.Fatalf("lock after release: %v", err)
	}
	again.release()
}

func TestLockDirectoryRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"":                         "no data directory is named",
		filepath.Join(file, "sub"): "create data directory " + file + "/sub: not a directory",
	} {
		if _, err := lockDirectory(path); err == nil || err.Error() != want {
			t.Errorf("lockDirectory(%q) = %v, want %s", path, err, want)
		}
	}
}

func TestListenRefuses(t *testing.T) {
	t.Parallel()
	taken, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for addr, want := range map[string]string{
		"0.0.0.0:0":           "not a loopback address",
		":0":                  "not a loopback address",
		"nonsense":            "missing port in address",
		taken.Addr().String(): "address already in use",
	} {
		if _, err := listen(addr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("listen(%q) = %v, want %s", addr, err, want)
		}
	}
}
