package keys_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/internal/keys"
)

func TestHandOut(t *testing.T) {
	t.Parallel()
	folder := keys.Folder{Dir: t.TempDir(), Tenants: []string{"default", "acme"}}
	if _, err := folder.Make(); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if _, err := folder.HandOut(out); err == nil {
		t.Error("without the containers' folders: want an error")
	}
	for _, container := range keys.Containers() {
		if err := os.Mkdir(filepath.Join(out, container), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if made, err := folder.HandOut(out); err != nil || len(made) != 0 { // the first call made them
		t.Fatalf("made %v, error %v", made, err)
	}
	want := map[string]string{
		"nats":       "ca.pem nats-key.pem nats.pem nkeys.conf store.key tenants.conf",
		"clickhouse": "ca.pem clickhouse-admin.password clickhouse-analyst.password clickhouse-key.pem clickhouse-sink.password clickhouse.pem",
		"migrate":    "ca.pem clickhouse-admin.password",
		"redactor":   "ca.pem redactor.nk",
		"sink":       "ca.pem clickhouse-sink.password sink.nk",
		"notifier":   "ca.pem notifier.nk",
		"door":       "ca.pem door.nk tokens",
		"demo":       "ca.pem producer-default.nk",
		"grafana":    "ca.pem clickhouse-analyst.password grafana-admin.password",
	}
	for _, container := range keys.Containers() {
		var got []string
		entries, err := os.ReadDir(filepath.Join(out, container))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			got = append(got, entry.Name())
			if info, err := entry.Info(); err != nil || info.Mode().Perm() != 0o440 {
				t.Errorf("%s/%s: %v, %v", container, entry.Name(), info.Mode(), err)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want[container] {
			t.Errorf("%s was given %v, want %s", container, got, want[container])
		}
	}

	tokens, err := os.ReadFile(filepath.Join(out, "door", "tokens"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range folder.Tenants {
		token, err := fs.ReadFile(os.DirFS(folder.Dir), "door-"+tenant+".token")
		if err != nil || strings.Contains(string(tokens), strings.TrimSpace(string(token))) {
			t.Errorf("the token of %s: the door has more than its hash, or %v", tenant, err)
		}
		if !strings.Contains(string(tokens), "\n"+tenant+" "+tenant+" * sha256:") {
			t.Errorf("the door does not know the token of %s", tenant)
		}
	}
	// Handing out again, as each start of the stack does, changes nothing.
	if made, err := folder.HandOut(out); err != nil || len(made) != 0 {
		t.Errorf("again: made %v, error %v", made, err)
	}
	if again, err := os.ReadFile(filepath.Join(out, "door", "tokens")); err != nil || string(again) != string(tokens) {
		t.Errorf("again: other tokens, or %v", err)
	}
}
