// Licences says whether everything that goes into Sluice's binaries may be given
// away with them, and prints the texts that have to go along.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sluice/tools/modules"
)

// allowed are the licences that ask for no more than their text and the names of
// the authors, which a release carries. One that asks for sources, or for a fee,
// does not belong here.
var allowed = []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT", "MIT-0", "Unlicense", "Zlib"}

func main() {
	root := flag.String("root", ".", "the folder with go.work")
	platforms := flag.String("platforms", "linux/amd64 linux/arm64 darwin/amd64 darwin/arm64", "what is built for")
	notices := flag.Bool("notices", false, "print all texts instead of checking")
	flag.Parse()
	if err := run(*root, *platforms, *notices, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

func run(root, platforms string, notices bool, packages []string) error {
	targets, err := modules.ParsePlatforms(platforms)
	if err != nil {
		return err
	}
	used, err := modules.List(context.Background(), root, targets, packages...)
	if err != nil {
		return err
	}
	reader, err := modules.NewReader()
	if err != nil {
		return err
	}
	if notices {
		return printNotices(os.Stdout, reader, used)
	}
	wrong := 0
	for _, m := range used {
		for _, complaint := range complaints(reader, m) {
			fmt.Fprintln(os.Stderr, complaint)
			wrong++
		}
	}
	packed, complaintsOfNPM, err := npm(filepath.Join(root, "standalone", "engine", "package-lock.json"))
	if err != nil {
		return err
	}
	for _, complaint := range complaintsOfNPM {
		fmt.Fprintln(os.Stderr, complaint)
		wrong++
	}
	if wrong > 0 {
		return fmt.Errorf("%d licences are not on the list in tools/licences/main.go: use something else, or put them on it with a reason", wrong)
	}
	fmt.Printf("licences: %d modules and %d npm packages, all of them %s\n", len(used), packed, strings.Join(allowed, ", "))
	return nil
}

// complaints are what is wrong with a module, a line each.
func complaints(reader *modules.Reader, m modules.Module) []string {
	files, err := reader.Licences(m)
	if err != nil {
		return []string{err.Error()}
	}
	var wrong []string
	known := 0
	for _, f := range files {
		for _, id := range f.IDs {
			if known++; !slices.Contains(allowed, id) {
				wrong = append(wrong, fmt.Sprintf("%s %s: %s, which is not allowed (%s)", m.Path, m.Version, id, filepath.Join(m.Dir, f.Name)))
			}
		}
	}
	if known == 0 {
		wrong = append(wrong, fmt.Sprintf("%s %s: no licence that is known in %s", m.Path, m.Version, m.Dir))
	}
	return wrong
}

// npm reads what the lock file of the embedded ClickHouse says of its packages.
func npm(lock string) (packages int, wrong []string, err error) {
	raw, err := os.ReadFile(lock)
	if err != nil {
		return 0, nil, fmt.Errorf("read the lock file of npm: %w", err)
	}
	var file struct {
		Packages map[string]struct{ Version, License string }
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return 0, nil, fmt.Errorf("read %s: %w", lock, err)
	}
	for name, p := range file.Packages {
		if name == "" {
			continue
		}
		if packages++; !slices.Contains(allowed, p.License) {
			wrong = append(wrong, fmt.Sprintf("%s %s: licence %q, which is not allowed (%s)", strings.TrimPrefix(name, "node_modules/"), p.Version, p.License, lock))
		}
	}
	slices.Sort(wrong)
	return packages, wrong, nil
}

// printNotices prints each text once, with whose it is.
func printNotices(w io.Writer, reader *modules.Reader, used []modules.Module) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "Sluice's binaries hold the modules below, under their licences. Sluice's own is in LICENSE.")
	for _, m := range used {
		files, err := reader.Licences(m)
		if err != nil {
			return err
		}
		for _, f := range files {
			fmt.Fprintf(out, "\n%s\n%s %s: %s %s\n\n%s\n", strings.Repeat("=", 80), m.Path, m.Version, f.Name, strings.Join(f.IDs, ", "), strings.TrimSpace(string(f.Text)))
		}
	}
	return out.Flush()
}
