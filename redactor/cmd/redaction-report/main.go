// Command redaction-report judges the redactor by the labelled corpus, beside
// authentik's own rule and, where the program is at hand, gitleaks, and writes
// what it finds as Markdown. It is not one of the shipped commands.
package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"sluice/redactor/redact"
	"sluice/redactor/redact/corpus"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "redaction-report: %v\n", err)
		os.Exit(1) //nolint:gocritic // nothing is held
	}
}

func run(ctx context.Context, args []string, progress io.Writer) error {
	flags := flag.NewFlagSet("redaction-report", flag.ContinueOnError)
	out := flags.String("o", "", "file to write, standard output if empty")
	gitleaks := flags.String("gitleaks", "", "the gitleaks program; not run if empty")
	if err := flags.Parse(args); err != nil {
		return err
	}
	report, err := measure(ctx, *gitleaks, progress)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	report.write(&text)
	if *out == "" {
		_, err = os.Stdout.Write(text.Bytes())
		return err
	}
	return os.WriteFile(*out, text.Bytes(), 0o644) //nolint:gosec // a page for everybody
}

// measure runs everything over the corpus.
func measure(ctx context.Context, gitleaks string, progress io.Writer) (*report, error) {
	engine, err := redact.New(redact.Config{})
	if err != nil {
		return nil, err
	}
	r := newReport()
	secrets, benign := corpus.Secrets(), corpus.Benign()
	fmt.Fprintf(progress, "%d events with secrets, %d harmless ones\n", len(secrets), len(benign))
	for _, c := range secrets {
		clean, err := engine.RedactJSON(nil, c.Event)
		if err != nil {
			return nil, fmt.Errorf("redact %s: %w", c.Name, err)
		}
		header := clean.Header()
		r.secret(c, sluice, leaks(c, clean.Clean) || leaks(c, []byte(header)))
		r.secret(c, authentik, leaks(c, corpus.Authentik(c.Event)))
		for _, keep := range c.Keep {
			if !bytes.Contains(clean.Clean, []byte(keep)) {
				r.lost++
			}
		}
	}
	for _, c := range benign {
		clean, err := engine.RedactJSON(nil, c.Event)
		if err != nil {
			return nil, fmt.Errorf("redact %s: %w", c.Name, err)
		}
		r.harmless(c, sluice, !bytes.Equal(clean.Clean, c.Event))
		r.harmless(c, authentik, !corpus.SameText(corpus.Authentik(c.Event), c.Event))
	}
	if gitleaks == "" {
		return r, nil
	}
	fmt.Fprintf(progress, "running %s over %d files\n", filepath.Base(gitleaks), len(secrets)+len(benign))
	found, version, err := runGitleaks(ctx, gitleaks, append(secrets, benign...))
	if err != nil {
		return nil, err
	}
	r.gitleaks = version
	for i, c := range secrets {
		r.secret(c, leaksScanner, !covers(found[i], c))
	}
	for i, c := range benign {
		r.harmless(c, leaksScanner, len(found[len(secrets)+i]) > 0)
	}
	return r, nil
}

// leaks reports whether a text has one of the case's secrets in it.
func leaks(c corpus.Case, text []byte) bool {
	for _, secret := range c.Secrets {
		if bytes.Contains(text, []byte(secret)) {
			return true
		}
	}
	return false
}

// covers reports whether the findings together hold the secret.
func covers(findings []finding, c corpus.Case) bool {
	for _, f := range findings {
		if leaks(c, []byte(f.Secret)) || leaks(c, []byte(f.Match)) {
			return true
		}
	}
	return false
}

// finding is what gitleaks reports.
type finding struct {
	File   string `json:"File"`
	Secret string `json:"Secret"`
	Match  string `json:"Match"`
}

// runGitleaks scans each event as a file of its own.
func runGitleaks(ctx context.Context, program string, cases []corpus.Case) (found map[int][]finding, version string, err error) {
	dir, err := os.MkdirTemp("", "redaction-report-*")
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	events, result := filepath.Join(dir, "events"), filepath.Join(dir, "result.json")
	if err := os.Mkdir(events, 0o700); err != nil {
		return nil, "", err
	}
	for i, c := range cases {
		if err := os.WriteFile(filepath.Join(events, strconv.Itoa(i)+".json"), c.Event, 0o600); err != nil {
			return nil, "", err
		}
	}
	built, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, "", fmt.Errorf("read the version of gitleaks: %w", err)
	}
	command := exec.CommandContext(ctx, program, "dir", "--no-banner", "--exit-code", "0", "--report-format", "json", "--report-path", result, events)
	if output, err := command.CombinedOutput(); err != nil {
		return nil, "", fmt.Errorf("run gitleaks: %w: %s", err, lastLine(output))
	}
	raw, err := os.ReadFile(result)
	if err != nil {
		return nil, "", err
	}
	var all []finding
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, "", fmt.Errorf("read gitleaks' findings: %w", err)
	}
	found = map[int][]finding{}
	for _, f := range all {
		i, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(f.File), ".json"))
		if err != nil {
			return nil, "", fmt.Errorf("read gitleaks' findings: %w", err)
		}
		found[i] = append(found[i], f)
	}
	return found, built.Main.Version, nil
}

func lastLine(output []byte) string {
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	return lines[len(lines)-1]
}
