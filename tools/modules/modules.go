// Package modules finds the modules that go into Sluice's binaries, and under
// which licences they are. It asks the go command and reads the module cache, and
// nothing of the network.
package modules

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	classifier "github.com/google/licenseclassifier/v2"
	"github.com/google/licenseclassifier/v2/assets"
)

// Module is one that is not Sluice's own.
type Module struct {
	Path, Version string
	// Dir is where it lies in the module cache.
	Dir string
	// Packages are the folders of those of its packages that are used.
	Packages []string
}

// Platform is one that binaries are built for.
type Platform struct{ OS, Arch string }

// ParsePlatforms reads a list such as "linux/amd64 darwin/arm64".
func ParsePlatforms(list string) ([]Platform, error) {
	var all []Platform
	for name := range strings.FieldsSeq(list) {
		system, arch, found := strings.Cut(name, "/")
		if !found || system == "" || arch == "" {
			return nil, fmt.Errorf("platform %q: want one such as linux/amd64", name)
		}
		all = append(all, Platform{system, arch})
	}
	if len(all) == 0 {
		return nil, errors.New("no platform is named")
	}
	return all, nil
}

// List returns the modules that the packages need on any of the platforms, by
// path. The root is the folder with go.work.
func List(ctx context.Context, root string, platforms []Platform, packages ...string) ([]Module, error) {
	found := map[string]*Module{}
	for _, p := range platforms {
		if err := list(ctx, root, p, packages, found); err != nil {
			return nil, err
		}
	}
	var all []Module
	for _, m := range found {
		slices.Sort(m.Packages)
		all = append(all, *m)
	}
	slices.SortFunc(all, func(a, b Module) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

func list(ctx context.Context, root string, p Platform, packages []string, found map[string]*Module) error {
	args := append([]string{"list", "-deps", "-json=Dir,Module"}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	var failure bytes.Buffer
	cmd.Stderr = &failure
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "GOWORK=") { // this program's own is built outside the workspace
			cmd.Env = append(cmd.Env, entry)
		}
	}
	cmd.Env = append(cmd.Env, "GOOS="+p.OS, "GOARCH="+p.Arch, "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("list what %s/%s needs: %w: %s", p.OS, p.Arch, err, strings.TrimSpace(failure.String()))
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var one struct {
			Dir    string
			Module *struct {
				Path, Version, Dir string
				Main               bool
				Replace            *struct{ Path, Version, Dir string }
			}
		}
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read what go list prints: %w", err)
		}
		if one.Module == nil || one.Module.Main || strings.HasPrefix(one.Module.Path, "sluice/") {
			continue // of Go itself, or ours
		}
		m := found[one.Module.Path]
		if m == nil {
			m = &Module{Path: one.Module.Path, Version: one.Module.Version, Dir: one.Module.Dir}
			found[m.Path] = m
		}
		if !slices.Contains(m.Packages, one.Dir) {
			m.Packages = append(m.Packages, one.Dir)
		}
	}
}

// Licence is a file that says how something may be used.
type Licence struct {
	// Name is the file's, below the module's folder.
	Name string
	Text []byte
	// IDs are the SPDX identifiers of what it says, none where it is a notice or
	// not known.
	IDs []string
}

// The names of files that are a licence, and of those that go along with one.
var (
	licenceName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([-._].*)?$`)
	noticeName  = regexp.MustCompile(`(?i)^(notice|patents|authors)([-._].*)?$`)
)

// judged are files that are no licence by their text, and what a person found in
// them; a new version is to be looked at again.
var judged = map[string]string{
	"github.com/segmentio/asm@v1.2.1/LICENSE": "MIT-0", // MIT without the duty to hand its text on
}

// Reader knows licences by their texts.
type Reader struct{ known *classifier.Classifier }

// NewReader returns a reader with the texts of SPDX.
func NewReader() (*Reader, error) {
	known, err := assets.DefaultClassifier()
	if err != nil {
		return nil, fmt.Errorf("load the texts of licences: %w", err)
	}
	return &Reader{known}, nil
}

// Licences are those of a module: the files in its folder and in those between it
// and the packages that are used.
func (r *Reader) Licences(m Module) ([]Licence, error) {
	folders := []string{m.Dir}
	for _, dir := range m.Packages {
		for ; dir != m.Dir && strings.HasPrefix(dir, m.Dir); dir = filepath.Dir(dir) {
			if !slices.Contains(folders, dir) {
				folders = append(folders, dir)
			}
		}
	}
	slices.Sort(folders)
	var all []Licence
	for _, dir := range folders {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("look for the licence of %s: %w", m.Path, err)
		}
		for _, entry := range entries {
			is := licenceName.MatchString(entry.Name())
			if entry.IsDir() || strings.HasSuffix(entry.Name(), ".go") || !is && !noticeName.MatchString(entry.Name()) {
				continue
			}
			path := filepath.Join(dir, entry.Name())
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("read the licence of %s: %w", m.Path, err)
			}
			name, err := filepath.Rel(m.Dir, path)
			if err != nil {
				return nil, err
			}
			l := Licence{Name: filepath.ToSlash(name), Text: text}
			if id := judged[m.Path+"@"+m.Version+"/"+l.Name]; id != "" {
				l.IDs = []string{id}
			} else if is {
				l.IDs = r.identify(text)
			}
			all = append(all, l)
		}
	}
	return all, nil
}

// identify names the licences in a text, each once.
func (r *Reader) identify(text []byte) []string {
	var ids []string
	for _, match := range r.known.Match(text).Matches {
		if match.MatchType == "License" && !slices.Contains(ids, match.Name) {
			ids = append(ids, match.Name)
		}
	}
	slices.Sort(ids)
	return ids
}
