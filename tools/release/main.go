// Release packs binaries that were built for several platforms: an archive for
// each, with everything that has to go along, a bill of materials, and the
// checksums of all. The same commit, built by the same Go, gives the same bytes
// wherever and whenever it is packed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/tools/modules"
)

// release is what is packed.
type release struct {
	root, dist, version string
	// at is the commit's time, which every file in an archive has.
	at time.Time
	// files are those of the repository that go along, below the root.
	files []string
	// notices are the texts of the licences, and licences the identifiers by module.
	notices  []byte
	licences map[string][]string
}

// along are the files of the repository that an operator needs beside the binaries.
var along = []string{"LICENSE", "README.md", "CHANGELOG.md", "ARCHITECTURE.md", "docs", "deploy", "standalone/engine/package.json", "standalone/engine/package-lock.json"}

func main() {
	r := release{}
	flag.StringVar(&r.root, "root", ".", "the folder with go.work")
	flag.StringVar(&r.dist, "dist", "dist", "where the binaries are, in build/<system>_<architecture>, and where the archives go")
	flag.StringVar(&r.version, "version", "dev", "the version in names and in the bill of materials")
	notices := flag.String("notices", "", "file with the texts of the licences")
	platforms := flag.String("platforms", "", "the platforms, such as linux/amd64")
	flag.Parse()
	if err := r.run(context.Background(), *platforms, *notices, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func (r release) run(ctx context.Context, platforms, notices string, packages []string) error {
	targets, err := modules.ParsePlatforms(platforms)
	if err != nil {
		return err
	}
	if r.notices, err = os.ReadFile(notices); err != nil {
		return fmt.Errorf("read the notices: %w", err)
	}
	if r.licences, err = licences(ctx, r.root, targets, packages); err != nil {
		return err
	}
	seconds, err := git(ctx, r.root, "log", "-1", "--format=%ct")
	if err != nil {
		return err
	}
	unix, err := strconv.ParseInt(strings.TrimSpace(seconds), 10, 64)
	if err != nil {
		return fmt.Errorf("read the time of the commit: %w", err)
	}
	r.at = time.Unix(unix, 0).UTC()
	// Those that git knows: keys and data that lie beside them stay here.
	tracked, err := git(ctx, r.root, append([]string{"ls-files", "--"}, along...)...)
	if err != nil {
		return err
	}
	r.files = strings.Fields(tracked)
	slices.Sort(r.files)

	var made []string
	for _, p := range targets {
		names, err := r.pack(p)
		if err != nil {
			return err
		}
		made = append(made, names...)
	}
	return r.writeSums(made)
}

// licences are the identifiers of those of each module that the packages need.
func licences(ctx context.Context, root string, targets []modules.Platform, packages []string) (map[string][]string, error) {
	used, err := modules.List(ctx, root, targets, packages...)
	if err != nil {
		return nil, err
	}
	reader, err := modules.NewReader()
	if err != nil {
		return nil, err
	}
	all := map[string][]string{}
	for _, m := range used {
		files, err := reader.Licences(m)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			all[m.Path] = append(all[m.Path], f.IDs...)
		}
		slices.Sort(all[m.Path])
		all[m.Path] = slices.Compact(all[m.Path])
	}
	return all, nil
}

// git asks git, which is told to trust a folder that another user owns.
func git(ctx context.Context, root string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "safe.directory=*", "-C", root}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w (a release is made of a git repository)", args[0], err)
	}
	return string(out), nil
}

// pack makes the archive and the bill of materials of one platform.
func (r release) pack(p modules.Platform) ([]string, error) {
	name := fmt.Sprintf("sluice_%s_%s_%s", r.version, p.OS, p.Arch)
	binaries, err := filepath.Glob(filepath.Join(r.dist, "build", p.OS+"_"+p.Arch, "*"))
	if err != nil || len(binaries) == 0 {
		return nil, fmt.Errorf("no binaries for %s/%s in %s: make release builds them", p.OS, p.Arch, r.dist)
	}
	bill, err := r.bill(binaries)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(r.dist, name+".cdx.json"), bill, 0o644); err != nil { // #nosec G306 -- to be read by all
		return nil, fmt.Errorf("write the bill of materials: %w", err)
	}
	if err := r.archive(name, binaries, bill); err != nil {
		return nil, err
	}
	fmt.Printf("release: %s.tar.gz, with %d binaries\n", name, len(binaries))
	return []string{name + ".cdx.json", name + ".tar.gz"}, nil
}
