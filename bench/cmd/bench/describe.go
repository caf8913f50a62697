package main

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"sluice/bench/report"
)

// describe says what is measured on and with.
func describe(ctx context.Context, f *flags) (*report.Results, error) {
	r := &report.Results{
		At: time.Now().UTC().Truncate(time.Second), Note: f.notes,
		Machine: report.Machine{
			CPU: field("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), MemoryBytes: memory(),
			Kernel: line("/proc/sys/kernel/osrelease"), Load: load(), Filesystem: filesystem(ctx, f.cfg.Dir),
		},
		Versions: map[string]string{"go": runtime.Version()}, Settings: map[string]string{},
	}
	for name, args := range map[string][]string{"nats-server": {"-v"}, "redactor": {"-version"}} {
		out, err := exec.CommandContext(ctx, filepath.Join(f.cfg.Bin, name), args...).Output()
		if err != nil {
			return nil, err
		}
		words := strings.Fields(string(out))
		r.Versions[name] = words[len(words)-1]
	}
	r.Versions["sluice"] = r.Versions["redactor"]
	delete(r.Versions, "redactor")
	f.VisitAll(func(set *flag.Flag) {
		switch set.Name {
		case "out", "bin", "dir", "note": // of this machine, or told elsewhere
		default:
			r.Settings[set.Name] = set.Value.String()
		}
	})
	return r, nil
}

func line(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return first
}

// field is the first value of that name in a file of /proc.
func field(path, name string) string {
	text, _ := os.ReadFile(path) // without it the answer is unknown
	for l := range strings.Lines(string(text)) {
		if key, value, found := strings.Cut(l, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func memory() int64 {
	kib, _, _ := strings.Cut(field("/proc/meminfo", "MemTotal"), " ")
	n, _ := strconv.ParseInt(kib, 10, 64) // 0 is unknown
	return n << 10
}

// load is the averages over one, five and fifteen minutes.
func load() string {
	words := strings.Fields(line("/proc/loadavg"))
	return strings.Join(words[:min(len(words), 3)], " ")
}

// filesystem is that of the folder where the servers store.
func filesystem(ctx context.Context, dir string) string {
	if dir == "" {
		dir = os.TempDir()
	}
	out, err := exec.CommandContext(ctx, "stat", "-f", "-c", "%T", dir).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
