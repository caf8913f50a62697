package redactor

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/schemas"
)

func TestRuleset(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	key := "0123456789abcdef0123456789abcdeF"
	var prints []string
	for _, file := range []string{write("raw", key), write("hex", hex.EncodeToString([]byte(key))+"\n"), write("base64", base64.StdEncoding.EncodeToString([]byte(key)))} {
		digest, err := Ruleset{FingerprintKey: file, FingerprintKeyID: "k7"}.Fingerprint([]byte("made-up"))
		if err != nil || !strings.HasPrefix(digest, "k7:") {
			t.Errorf("%s: %q, %v", filepath.Base(file), digest, err)
		}
		prints = append(prints, digest)
	}
	if prints[0] != prints[1] || prints[0] != prints[2] {
		t.Errorf("the same key in three forms: %q", prints)
	}
	for _, test := range []struct {
		ruleset Ruleset
		want    string
	}{
		{Ruleset{Rules: filepath.Join(dir, "none")}, "REDACTOR_RULES: read rules: "},
		{Ruleset{Rules: write("bad.yaml", "version: 2\nkeys: []\n")}, "bad.yaml:2: keys: must be a list"},
		{Ruleset{FingerprintKey: filepath.Join(dir, "none")}, "REDACTOR_FINGERPRINT_KEY_FILE: "},
		{Ruleset{FingerprintKey: write("short", "short"), FingerprintKeyID: "k1"}, "must be 32 bytes"},
		{Ruleset{FingerprintKey: write("same", strings.Repeat("k", 32)), FingerprintKeyID: "k1"}, "openssl rand -hex 32"},
		{Ruleset{FingerprintKey: write("good", key), FingerprintKeyID: "a b"}, "REDACTOR_FINGERPRINT_KEY_ID: "},
	} {
		if _, err := test.ruleset.Load(0); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), key) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
	if _, err := (Ruleset{}).Fingerprint(nil); err == nil {
		t.Error("a fingerprint without a key")
	}
}

// TestReload changes the rules while events flow: none is lost, and each is judged
// by the one set or the other.
func TestReload(t *testing.T) {
	b := startBroker(t)
	dir := t.TempDir()
	file, key := filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "key")
	write := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, "version: 1\nkeys:\n  - name: badge\n    match: [badge]\n")
	write(key, "0123456789abcdef0123456789abcdeF")
	reload := make(chan os.Signal, 1)
	b.runWith(Config{
		NATS: b.settings(), DrainTimeout: 10 * time.Second, Reload: reload,
		Ruleset: Ruleset{Rules: file, FingerprintKey: key, FingerprintKeyID: "k1"},
	})
	const n = 300
	round := func(from int) {
		for i := range n {
			b.publish(login(`{"context":{"n":` + strconv.Itoa(from+i) + `,"badge":"` + planted + `","locker":"L1","api_key":"` + planted + `"}}`))
		}
	}
	round(0)
	write(file, "version: 1\nkeys:\n  - name: badge\n    match: [badge, locker]\ntenants:\n  other:\n    deny:\n      - path: $.context.n\n")
	reload <- syscall.SIGHUP
	round(n)
	eventually(t, "the rules were read", func() bool { return strings.Contains(b.logs.String(), "rules read") })
	write(file, "version: 1\nkeys:\n  - name: Badge\n  - match: []\n")
	reload <- syscall.SIGHUP
	eventually(t, "the bad rules were refused", func() bool { return strings.Count(b.logs.String(), "the old ones stay in force") >= 3 })
	if log := b.logs.String(); !strings.Contains(log, "rules.yaml:3: keys[0].name") {
		t.Errorf("the log does not name the line:\n%s", log)
	}
	round(2 * n)
	b.drained()
	clean := b.all(schemas.StreamClean)
	if len(clean) != 3*n {
		t.Fatalf("%d clean events, want %d", len(clean), 3*n)
	}
	masked := 0
	for _, m := range clean {
		var event struct {
			Context struct {
				N      int    `json:"n"`
				Badge  string `json:"badge"`
				Locker string `json:"locker"`
			} `json:"context"`
		}
		if err := json.Unmarshal(m.Data, &event); err != nil {
			t.Fatal(err)
		}
		c := event.Context
		if c.Badge != schemas.Mask || c.Locker == "" {
			t.Errorf("event %d: badge %q", c.N, c.Badge)
		}
		if c.Locker == schemas.Mask {
			masked++
		} else if c.N >= 2*n {
			t.Errorf("event %d, after the change: locker %q", c.N, c.Locker)
		}
		var prints map[string]string
		if err := json.Unmarshal([]byte(m.Header.Get(schemas.HeaderFingerprints)), &prints); err != nil || len(prints) == 0 {
			t.Errorf("fingerprints %q: %v", m.Header.Get(schemas.HeaderFingerprints), err)
		}
	}
	if masked < n {
		t.Errorf("%d lockers masked, want those of the last round and more", masked)
	}
}
