package embedded

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"sluice/standalone/clickhouse/chdb"
)

// engineSettings makes the library behave as a small server would. With them the
// process takes 0.2 GB when idle and 0.3 GB under inserts of 10,000 rows; at its
// bound it takes that much more than the bound, for the code and both runtimes.
func engineSettings(cfg Config) map[string]string {
	settings := map[string]string{
		"max_server_memory_usage": strconv.FormatInt(cfg.MemoryBytes, 10),
		// Caches are part of the memory above. A server's defaults, gigabytes each,
		// would fill all of it.
		"mark_cache_size":                "134217728", // 128 MiB
		"primary_index_cache_size":       "134217728",
		"index_mark_cache_size":          "33554432",
		"query_condition_cache_size":     "33554432",
		"compiled_expression_cache_size": "33554432",
		// An insert is stored when it is acknowledged, in blocks that are those of
		// the client.
		"async_insert": "0",
		// The library's own changes to a server's defaults, taken back.
		"implicit_select":               "0",
		"allow_introspection_functions": "0",
	}
	if cfg.ConfigFile != "" {
		settings["config-file"] = cfg.ConfigFile
	}
	return settings
}

// openEngine starts the engine. What the library says on standard error while
// it does becomes the error when it fails: its interface gives no reason.
func openEngine(library, dir string, settings map[string]string) (*chdb.Engine, error) {
	// The engine's time zone is that of its process.
	if err := os.Setenv("TZ", "UTC"); err != nil {
		return nil, fmt.Errorf("set time zone: %w", err)
	}
	var engine *chdb.Engine
	said, err := captureStderr(func() (err error) {
		engine, err = chdb.Open(library, dir, settings)
		return err
	})
	if err == nil {
		return engine, nil
	}
	if first, _, _ := bytes.Cut(bytes.TrimSpace(said), []byte("\n")); len(first) > 0 {
		return nil, fmt.Errorf("start engine on %s: %s", dir, first)
	}
	return nil, err
}

// captureStderr gives what is written to file descriptor 2 while f runs. A file
// stands in for it, which takes any amount without a reader.
func captureStderr(f func() error) ([]byte, error) {
	file, err := os.CreateTemp("", "clickhouse-embedded-*")
	if err != nil {
		return nil, fmt.Errorf("capture standard error: %w", err)
	}
	defer func() { _ = file.Close() }()
	if err := os.Remove(file.Name()); err != nil {
		return nil, fmt.Errorf("capture standard error: %w", err)
	}
	original, err := syscall.Dup(2)
	if err != nil {
		return nil, fmt.Errorf("capture standard error: %w", err)
	}
	defer func() { _ = syscall.Close(original) }()
	if err := Redirect(int(file.Fd()), 2); err != nil {
		return nil, err
	}
	failure := f()
	if err := Redirect(original, 2); err != nil {
		return nil, err
	}
	const most = 4096
	said := make([]byte, most)
	n, _ := file.ReadAt(said, 0) // io.EOF: less was said
	return said[:n], failure
}
