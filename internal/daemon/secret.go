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

// readSecrets fills the settings that are secrets from the files that are named, and
// returns what is wrong with how these are kept.
func readSecrets(settings reflect.Value) (warnings []string, err error) {
	var errs []error
	for field, value := range settings.Fields() {
		name := field.Tag.Get("envconfig")
		switch {
		case field.Tag.Get("ignored") == "true":
		case name == "" && field.Type.Kind() == reflect.Struct:
			more, err := readSecrets(value)
			warnings, errs = append(warnings, more...), append(errs, err)
		case secretFile(name, field.Tag) != "":
			secret, warning, err := readSecret(name)
			if warning != "" {
				warnings = append(warnings, warning)
			}
			if secret != "" {
				value.SetString(secret)
			}
			errs = append(errs, err)
		}
	}
	return warnings, errors.Join(errs...)
}

// maxSecretBytes is more than any password, token or address is long.
const maxSecretBytes = 64 << 10

// othersMayRead is the permission that a secret's file should not have.
const othersMayRead = 0o004

// readSecret reads the file of one secret, without the line's end that editors add. Its
// errors name the file and hold nothing of it.
func readSecret(name string) (secret, warning string, err error) {
	file := os.Getenv(name + fileSuffix)
	if file == "" {
		return "", "", nil
	}
	if os.Getenv(name) != "" {
		return "", "", fmt.Errorf("%s and %s: set one of them", name, name+fileSuffix)
	}
	f, err := os.Open(file) // #nosec G703 -- the operator's own choice of file
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", name+fileSuffix, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", name+fileSuffix, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", name+fileSuffix, err)
	}
	secret = strings.TrimSpace(string(text))
	switch {
	case len(text) > maxSecretBytes:
		return "", "", fmt.Errorf("%s: %s has more than %d bytes", name+fileSuffix, file, maxSecretBytes)
	case secret == "":
		return "", "", fmt.Errorf("%s: %s is empty", name+fileSuffix, file)
	case strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", "", fmt.Errorf("%s: %s has more than one line", name+fileSuffix, file)
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&othersMayRead != 0 {
		warning = fmt.Sprintf("%s: everybody on this machine may read %s: chmod 600 it", name+fileSuffix, file)
	}
	return secret, warning, nil
}
