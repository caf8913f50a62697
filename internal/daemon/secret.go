package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
)

// fileSuffix makes of a secret's variable the one that names its file.
const fileSuffix = "_FILE"

// secretFile is the variable that names the file of a setting that is tagged
// secret:"true", "" for one that is not.
func secretFile(name string, tag reflect.StructTag) string {
	if tag.Get("secret") != "true" {
		return ""
	}
	return name + fileSuffix
}

// exposure is a secret's file that everybody may read.
type exposure struct{ setting, file string }

// readSecrets fills the settings that are secrets from the files that are named, and
// returns which of these everybody may read.
func readSecrets(settings reflect.Value) (exposed []exposure, err error) {
	var errs []error
	for field, value := range settings.Fields() {
		name := field.Tag.Get("envconfig")
		switch {
		case field.Tag.Get("ignored") == "true":
		case name == "" && field.Type.Kind() == reflect.Struct:
			more, err := readSecrets(value)
			exposed, errs = append(exposed, more...), append(errs, err)
		case secretFile(name, field.Tag) != "":
			secret, open, err := readSecret(name)
			if open {
				exposed = append(exposed, exposure{name + fileSuffix, os.Getenv(name + fileSuffix)})
			}
			if secret != "" {
				value.SetString(secret)
			}
			errs = append(errs, err)
		}
	}
	return exposed, errors.Join(errs...)
}

// maxSecretBytes is more than any password, token or address is long.
const maxSecretBytes = 64 << 10

// othersMayRead is the permission that a secret's file should not have.
const othersMayRead = 0o004

// readSecret reads the file of one secret, without the line's end that editors add. Its
// errors name the file and hold nothing of it. Open tells that everybody may read it.
func readSecret(name string) (secret string, open bool, err error) {
	file := os.Getenv(name + fileSuffix)
	if file == "" {
		return "", false, nil
	}
	if os.Getenv(name) != "" {
		return "", false, fmt.Errorf("%s and %s: set one of them", name, name+fileSuffix)
	}
	f, err := os.Open(file) // #nosec G703 -- the operator's own choice of file
	if err != nil {
		return "", false, fmt.Errorf("%s: %w", name+fileSuffix, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", false, fmt.Errorf("%s: %w", name+fileSuffix, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", false, fmt.Errorf("%s: %w", name+fileSuffix, err)
	}
	secret = strings.TrimSpace(string(text))
	switch {
	case len(text) > maxSecretBytes:
		return "", false, fmt.Errorf("%s: %s has more than %d bytes", name+fileSuffix, file, maxSecretBytes)
	case secret == "":
		return "", false, fmt.Errorf("%s: %s is empty", name+fileSuffix, file)
	case strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", false, fmt.Errorf("%s: %s has more than one line", name+fileSuffix, file)
	}
	return secret, info.Mode().IsRegular() && info.Mode().Perm()&othersMayRead != 0, nil
}
