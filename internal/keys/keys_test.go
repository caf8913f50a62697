package keys_test

import (
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sluice/internal/keys"
)

func TestMakeOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	folder := keys.Folder{Dir: filepath.Join(t.TempDir(), "keys"), Tenants: []string{"default"}}
	made, err := folder.Make()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"ca.pem", "nats.pem", "nats-key.pem", "clickhouse.pem", "clickhouse-key.pem", "store.key",
		"redactor.nk", "sink.nk", "notifier.nk", "door.nk", "operator.nk", "responder.nk", "sys.nk",
		"producer-default.nk", "subscriber-default.nk",
		"clickhouse-sink.password", "clickhouse-analyst.password", "clickhouse-admin.password",
	} {
		if !strings.Contains(" "+strings.Join(made, " ")+" ", " "+name+" ") {
			t.Errorf("%s was not made", name)
		}
	}
	before := content(t, folder.Dir)

	if made, err := folder.Make(); err != nil || len(made) != 0 {
		t.Errorf("the second time: made %v, error %v; want nothing", made, err)
	}
	folder.Tenants = []string{"acme"}
	if err := os.Remove(filepath.Join(folder.Dir, "sink.nk")); err != nil {
		t.Fatal(err)
	}
	made, err = folder.Make()
	if want := "sink.nk producer-acme.nk subscriber-acme.nk"; err != nil || strings.Join(made, " ") != want {
		t.Errorf("with a new tenant and without the sink's seed: made %v, error %v; want %s", made, err, want)
	}
	after := content(t, folder.Dir)
	for name, text := range before {
		switch changed := after[name] != text; name {
		case "sink.nk", "nkeys.conf", "tenants.conf":
			if !changed {
				t.Errorf("%s did not change", name)
			}
		default:
			if changed {
				t.Errorf("%s changed", name)
			}
		}
	}
	if !strings.Contains(after["tenants.conf"], "events.raw.default.*") || !strings.Contains(after["tenants.conf"], "events.raw.acme.*") {
		t.Error("tenants.conf: the two tenants are not there")
	}
	for _, name := range []string{"nkeys.conf", "tenants.conf"} {
		if seed.MatchString(after[name]) {
			t.Errorf("%s holds a seed", name)
		}
		for file, text := range after {
			if filepath.Ext(file) == ".nk" && (!seed.MatchString(text) || strings.Contains(after[name], strings.TrimSpace(text))) {
				t.Errorf("%s holds what is in %s, or that is no seed", name, file)
			}
		}
	}
}

// seed is that of a user: a public key may have SU in it too, and half of these files had.
var seed = regexp.MustCompile(`\bSU[A-Z2-7]{56}\b`)

// content is every file of the folder, once its mode is right.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if want := fs.FileMode(0o600); entry.IsDir() && info.Mode().Perm() != 0o700 || !entry.IsDir() && info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", entry.Name(), info.Mode().Perm())
		}
		if !entry.IsDir() {
			text, err := os.ReadFile(path)
			files[entry.Name()] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	folder := keys.Folder{Dir: t.TempDir(), Names: []string{"broker.example.org", "10.1.2.3"}}
	if _, err := folder.Make(); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(folder.Dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for _, server := range []string{"nats", "clickhouse"} {
		pair, err := tls.LoadX509KeyPair(filepath.Join(folder.Dir, server+".pem"), filepath.Join(folder.Dir, server+"-key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{server, "localhost", "127.0.0.1", "broker.example.org", "10.1.2.3"} {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
				t.Errorf("%s.pem for %s: %v", server, name, err)
			}
		}
	}

	folder.Names = append(folder.Names, "other.example.org")
	if _, err := folder.Make(); err == nil || !strings.Contains(err.Error(), "nats.pem is not for other.example.org") {
		t.Errorf("a further name: got %v", err)
	}
	folder.Names = nil
	for _, name := range []string{"ca-key.pem", "nats.pem"} {
		if err := os.Remove(filepath.Join(folder.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := folder.Make(); err == nil || !strings.Contains(err.Error(), "ca-key.pem is missing") {
		t.Errorf("without the authority's key: got %v", err)
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	for _, tenant := range []string{"a.b", "", "*", "a b", "../x"} {
		if _, err := (keys.Folder{Dir: t.TempDir(), Tenants: []string{tenant}}).Make(); err == nil {
			t.Errorf("tenant %q was taken", tenant)
		}
	}
	folder := keys.Folder{Dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(folder.Dir, "sink.nk"), []byte("SECRET-BUT-NO-SEED\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := folder.Make()
	if err == nil || !strings.Contains(err.Error(), "sink.nk") || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("a broken seed: got %v", err)
	}
}
