package redactor

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"

	"sluice/redactor/redact"
	"sluice/redactor/rules"
)

// Ruleset says by which rules is redacted besides the built-in ones.
type Ruleset struct {
	Rules            string `envconfig:"REDACTOR_RULES" desc:"file with rules of your own, YAML (docs/redaction-rules.md); read again on SIGHUP; empty for none"`
	FingerprintKey   string `envconfig:"REDACTOR_FINGERPRINT_KEY_FILE" desc:"file with the 32-byte key of the fingerprints of masked tokens: raw, hexadecimal or base64; empty for no fingerprints"`
	FingerprintKeyID string `envconfig:"REDACTOR_FINGERPRINT_KEY_ID" default:"k1" desc:"the key's name in each fingerprint; change it with the key"`
}

// Load reads the files. The engine takes texts of up to maxBytes, 0 for an
// event's limit. The error has a line for each thing that is wrong.
func (r Ruleset) Load(maxBytes int) (*redact.Engine, error) {
	set, err := rules.Load(r.Rules)
	if err != nil {
		return nil, fmt.Errorf("REDACTOR_RULES: %w", err)
	}
	prints, err := r.fingerprints()
	if err != nil {
		return nil, err
	}
	return redact.New(redact.Config{MaxBytes: maxBytes, Policy: set.Policy, Tenants: set.Tenants, Fingerprints: prints})
}

// Fingerprint returns the fingerprint of a secret under the configured key.
func (r Ruleset) Fingerprint(secret []byte) (string, error) {
	prints, err := r.fingerprints()
	if err != nil {
		return "", err
	}
	if prints == nil {
		return "", errors.New("REDACTOR_FINGERPRINT_KEY_FILE: must name the file with the key")
	}
	return prints.Of(secret), nil
}

// fingerprints reads the key, nil if there is none. Nothing of a key that is wrong
// is told.
func (r Ruleset) fingerprints() (*redact.Fingerprints, error) {
	if r.FingerprintKey == "" {
		return nil, nil //nolint:nilnil // no key, no fingerprints: that is no error
	}
	text, err := os.ReadFile(r.FingerprintKey)
	if err != nil {
		return nil, fmt.Errorf("REDACTOR_FINGERPRINT_KEY_FILE: %w", err)
	}
	prints := &redact.Fingerprints{KeyID: r.FingerprintKeyID, Key: text}
	if plain := strings.TrimSpace(string(text)); len(text) != fingerprintKeyBytes {
		if key, err := hex.DecodeString(plain); err == nil {
			prints.Key = key
		} else if key, err := base64.StdEncoding.DecodeString(plain); err == nil {
			prints.Key = key
		}
	}
	if len(prints.Key) != fingerprintKeyBytes {
		return nil, fmt.Errorf("REDACTOR_FINGERPRINT_KEY_FILE: the key must be %d bytes, raw, in hexadecimal or in base64", fingerprintKeyBytes)
	}
	if bytes.Count(prints.Key, prints.Key[:1]) == len(prints.Key) {
		return nil, errors.New("REDACTOR_FINGERPRINT_KEY_FILE: the key is one byte repeated; make one with: openssl rand -hex 32")
	}
	if err := prints.Validate(); err != nil {
		return nil, fmt.Errorf("REDACTOR_FINGERPRINT_KEY_ID: %w", err)
	}
	return prints, nil
}

const fingerprintKeyBytes = 32

// engines holds the engine in use. Events in work finish with the one that they
// began with.
type engines struct {
	current atomic.Pointer[redact.Engine]
	ruleset Ruleset
	metrics *metrics
	log     *slog.Logger
}

// watch reads the rules again whenever it is asked to, until stop.
func (e *engines) watch(stop <-chan struct{}, reload <-chan os.Signal) {
	for {
		select {
		case <-stop:
			return
		case <-reload:
			e.reload()
		}
	}
}

// reload reads the rules again. A file that is wrong changes nothing.
func (e *engines) reload() {
	engine, err := e.ruleset.Load(0)
	if err != nil {
		e.metrics.reloads("failed").Inc()
		for line := range strings.Lines(err.Error()) {
			e.log.Error("rules not read; the old ones stay in force", "error", strings.TrimSpace(line))
		}
		return
	}
	e.current.Store(engine)
	e.metrics.reloads("ok").Inc()
	e.metrics.rulesLoaded(engine)
	e.log.Info("rules read", "rules", len(engine.Rules()), "file", e.ruleset.Rules)
}
