package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/daemon"
)

const planted = "correct-horse-battery-staple"

type secretSettings struct {
	shared2
	daemon.Process

	Token string `envconfig:"TEST_TOKEN" default:"none" desc:"a token" secret:"true"`
}

type shared2 struct {
	Password string `envconfig:"SHARED_PASSWORD" desc:"a password" secret:"true"`
}

func TestSecretsFromFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good", planted+"\n", 0o600)
	missing := filepath.Join(dir, "missing")
	tests := []struct {
		name        string
		env         map[string]string
		token, pass string
		want        string
	}{
		{"none", nil, "none", "", ""},
		{"in the environment", map[string]string{"TEST_TOKEN": planted}, planted, "", ""},
		{"in files", map[string]string{"TEST_TOKEN_FILE": good, "SHARED_PASSWORD_FILE": good}, planted, planted, ""},
		{"an empty variable beside the file", map[string]string{"TEST_TOKEN": "", "TEST_TOKEN_FILE": good}, planted, "", ""},
		{"an empty name of a file", map[string]string{"TEST_TOKEN": planted, "TEST_TOKEN_FILE": ""}, planted, "", ""},
		{"both", map[string]string{"TEST_TOKEN": planted, "TEST_TOKEN_FILE": good}, "", "", "TEST_TOKEN and TEST_TOKEN_FILE: set one of them"},
		{"no file", map[string]string{"SHARED_PASSWORD_FILE": missing}, "", "", "SHARED_PASSWORD_FILE: open " + missing + ": no such file or directory"},
		{"a folder", map[string]string{"TEST_TOKEN_FILE": dir}, "", "", "TEST_TOKEN_FILE: read " + dir + ": is a directory"},
		{"empty", map[string]string{"TEST_TOKEN_FILE": file("empty", "\n", 0o600)}, "", "", "TEST_TOKEN_FILE: " + dir + "/empty is empty"},
		{"lines", map[string]string{"TEST_TOKEN_FILE": file("lines", planted+"\n"+planted, 0o600)}, "", "", "TEST_TOKEN_FILE: " + dir + "/lines has more than one line"},
		{"large", map[string]string{"TEST_TOKEN_FILE": file("large", strings.Repeat(planted, 9999), 0o600)}, "", "", "TEST_TOKEN_FILE: " + dir + "/large has more than 65536 bytes"},
		{"no secret", map[string]string{"TEST_ROWS_FILE": good}, "", "", "TEST_ROWS_FILE: there is no such setting"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			var got secretSettings
			err := daemon.Load("TEST", &got)
			if text := fmt.Sprint(err); tt.want == "" && err != nil || tt.want != "" && (text != tt.want || !errors.Is(err, daemon.ErrUsage)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err == nil && (got.Token != tt.token || got.Password != tt.pass) {
				t.Error("the settings are not as they should be")
			}
		})
	}
}

func TestSecretThatEverybodyMayRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := errors.Join(os.WriteFile(path, []byte(planted), 0o600), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_TOKEN_FILE", path)
	var got secretSettings
	said := stderrOf(t, func() {
		if err := daemon.Load("TEST", &got); err != nil || got.Token != planted {
			t.Errorf("Load: %v", err)
		}
	})
	if !strings.Contains(said, "everybody on this machine may read") || !strings.Contains(said, "setting=TEST_TOKEN_FILE file="+path) || strings.Contains(said, planted) || strings.Count(said, "\n") != 1 {
		t.Errorf("standard error:\n%s", said)
	}
}

// stderrOf is what f prints there.
func stderrOf(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = w
	f()
	os.Stderr = before
	_ = w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestHelpNamesTheFilesOfSecretsAndShowsNone(t *testing.T) {
	t.Setenv("TEST_TOKEN", planted)
	t.Setenv("SHARED_PASSWORD", planted)
	var out bytes.Buffer
	settings := secretSettings{Token: planted}
	_ = daemon.Help{Name: "test"}.Print(&out, &settings) // its error says that help was shown
	for _, want := range []string{"TEST_TOKEN_FILE", "file that holds SHARED_PASSWORD, instead"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), planted) {
		t.Error("the help shows a secret")
	}
}

// A service shows its secrets nowhere, and its profiles only where it is told to.
func TestServiceKeepsItsSecretsAndProfilesToItself(t *testing.T) {
	t.Setenv("TEST_TOKEN", planted)
	var settings secretSettings
	if err := daemon.Load("TEST", &settings); err != nil {
		t.Fatal(err)
	}
	addr, profiles := freeAddr(t), freeAddr(t)
	settings.PprofAddr = profiles
	said := stderrOf(t, func() {
		err := daemon.Service(t.Context(), "test", addr, &settings.Process, func(context.Context, *slog.Logger) error {
			for _, path := range []string{"/metrics", "/livez", "/readyz"} {
				if _, body := get(t, addr, path); strings.Contains(body, planted) {
					t.Errorf("%s shows a secret", path)
				}
			}
			if code, _ := get(t, addr, "/debug/pprof/"); code != http.StatusNotFound {
				t.Errorf("profiles beside the metrics: got %d", code)
			}
			for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/allocs"} {
				if code, body := get(t, profiles, path); code != http.StatusOK || strings.Contains(body, planted) {
					t.Errorf("%s: got %d, or a secret", path, code)
				}
			}
			if code, _ := get(t, profiles, "/debug/pprof/cmdline"); code != http.StatusNotFound {
				t.Errorf("the arguments: got %d", code)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	if strings.Contains(said, planted) {
		t.Error("the log shows a secret")
	}
}

func TestPprofIsForThisMachine(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:6060", "nonsense"} {
		if _, err := daemon.ServePprof(t.Context(), addr); err == nil || err.Error() != "PPROF_ADDR: want a loopback address such as 127.0.0.1:6060" {
			t.Errorf("%s: got %v", addr, err)
		}
	}
	stop, err := daemon.ServePprof(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	stop()
}
