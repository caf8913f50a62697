package faults

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutation is a promise that is broken on purpose: the text that stands once in a
// file, what stands there instead, and the check that must see it.
type mutation struct {
	name        string
	file        string
	old, broken string
	command     string
	check       string
}

var mutations = []mutation{
	{
		// That alone loses nothing: what was planned is read again and stored, acknowledged
		// or not. So this sink also believes its acknowledgement.
		"acknowledging before the insert", "sink/loop.go",
		"\trefused, err := s.store(ctx, b)\n",
		"\ts.done.Store(b.last())\n\tbroker.Ack(b.deliveries[len(b.deliveries)-1:], s.log)\n" +
			"\tif b.resumed != nil {\n\t\ts.resumed = nil\n\t\treturn nil\n\t}\n\trefused, err := s.store(ctx, b)\n",
		"sink", "rows",
	},
	{
		"a masked key left out", "redactor/redact/name/name.go",
		"\tvar text spelled\n\ttext.spell(name)\n\tclass := text.classify()\n",
		"\tif string(name) == \"password\" {\n\t\treturn 0\n\t}\n\tvar text spelled\n\ttext.spell(name)\n\tclass := text.classify()\n",
		"redactor", "secrets",
	},
	{
		"deduplication off", "sink/store.go",
		"\tsome := s.seen.maybe(entries)\n",
		"\tsome := s.seen.maybe(entries)[:0]\n",
		"sink", "rows",
	},
	{
		"an alert dropped", "notifier/publish.go",
		"\tresults := d.publish(attempt, msgs)\n",
		"\tresults := append([]broker.Result{{}}, d.publish(attempt, msgs[1:])...)\n",
		"notifier", "alerts",
	},
}

// TestMutations breaks four promises, one after the other, and demands that the short
// run sees each, by the check that is for it. It takes some minutes, and runs where
// FAULTS_MUTATIONS is set.
func TestMutations(t *testing.T) {
	if os.Getenv("FAULTS_MUTATIONS") == "" {
		t.Skip("set FAULTS_MUTATIONS=1, or run `make faults-mutations`")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			cfg := short(t, seeds[0])
			cfg.Overrides = map[string]string{m.command: m.build(t, root)}
			report := judge(t, cfg)
			if !report.Failed(m.check) {
				report.Explain(t.Output())
				t.Fatalf("the check %q sees nothing", m.check)
			}
			for _, f := range report.Failures {
				t.Logf("seen by %s: %s", f.Check, f.Text)
			}
		})
	}
}

// build builds the command with the promise broken.
func (m *mutation) build(t *testing.T, root string) string {
	t.Helper()
	source := filepath.Join(root, filepath.FromSlash(m.file))
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		t.Fatalf("%s: what is to be broken stands there %d times", m.file, n)
	}
	dir := t.TempDir()
	patched, overlay := filepath.Join(dir, "patched.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {source: patched}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{
		patched: []byte(strings.Replace(string(text), m.old, m.broken, 1)), overlay: replace,
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(dir, m.command)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-buildvcs=false", "-o", binary, "./"+m.command+"/cmd/"+m.command)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}
