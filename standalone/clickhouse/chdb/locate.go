package chdb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// ErrNotInstalled says that the library is not there. Its text says what to do.
var ErrNotInstalled = errors.New("the ClickHouse engine is not installed: run `make engine`, " +
	"or set CHDB_LIB_PATH to a libchdb.so, or CLICKHOUSE_URL to a ClickHouse server")

// Locate finds the library: the file at path if one is named (CHDB_LIB_PATH),
// otherwise the one that npm installed, in engine/ or standalone/engine/ beside
// the folder of this executable or in the working directory.
func Locate(path string) (string, error) {
	if path != "" {
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			return "", fmt.Errorf("%w (CHDB_LIB_PATH is %s, where no file is)", ErrNotInstalled, path)
		}
		return path, nil
	}
	var roots []string
	if executable, err := os.Executable(); err == nil {
		if resolved, err := filepath.EvalSymlinks(executable); err == nil {
			executable = resolved
		}
		roots = append(roots, filepath.Dir(filepath.Dir(executable)))
	}
	if dir, err := os.Getwd(); err == nil {
		roots = append(roots, dir)
	}
	for _, root := range roots {
		for _, engine := range []string{filepath.Join(root, "standalone", "engine"), filepath.Join(root, "engine")} {
			library := filepath.Join(engine, "node_modules", "@chdb", packageName(runtime.GOOS, runtime.GOARCH), "libchdb.so")
			if info, err := os.Stat(library); err == nil && !info.IsDir() {
				return library, nil
			}
		}
	}
	return "", ErrNotInstalled
}

// packageName gives the npm package that carries the library for a platform.
func packageName(goos, goarch string) string {
	if goarch == "amd64" {
		goarch = "x64"
	}
	if goos == "linux" {
		return "lib-linux-" + goarch + "-gnu"
	}
	return "lib-" + goos + "-" + goarch
}
