package receiver

import (
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// secret is where a secret is read from when the receiver is opened. It holds
// none itself, so that no printing of a definition can show one.
type secret struct {
	key        string // in the definition, for errors
	file, name string // a file, or an environment variable
}

func (s secret) isSet() bool { return s.file != "" || s.name != "" }

// maxSecretBytes is more than any token or address is long.
const maxSecretBytes = 64 << 10

// read returns the secret without the line's end that editors add.
func (s secret) read(env Env) (string, error) {
	var value string
	switch {
	case s.file != "":
		text, err := readFile(s.key, s.file)
		if err != nil {
			return "", err
		}
		value = string(text)
	case s.name != "":
		text, set := env.LookupEnv(s.name)
		if !set {
			return "", fmt.Errorf("%s: the environment variable %s is not set", s.key, s.name)
		}
		value = text
	default:
		return "", nil
	}
	value = strings.TrimSpace(value)
	if value == "" {
		return "", fmt.Errorf("%s: %s is empty", s.key, s.file+s.name)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%s: %s has more than one line", s.key, s.file+s.name)
	}
	return value, nil
}

// readFile reads a small file of the operator's.
func readFile(key, file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if len(text) > maxSecretBytes {
		return nil, fmt.Errorf("%s: %s has more than %d bytes", key, file, maxSecretBytes)
	}
	return text, nil
}

// secret adds the readers of key_file and key_env.
func (d *definition) secret(known members, key string, into *secret) {
	set := func(n *yaml.Node, from string, s secret) {
		if into.isSet() {
			d.wrongf(n, from, "set one of %s_file and %s_env", key, key)
		}
		s.key = from
		*into = s
	}
	known[key+"_file"] = func(n *yaml.Node) { set(n, key+"_file", secret{file: d.line(n, key+"_file")}) }
	known[key+"_env"] = func(n *yaml.Node) { set(n, key+"_env", secret{name: d.line(n, key+"_env")}) }
}

// secrets adds the readers of key_file and key_env with several values each.
func (d *definition) secrets(known members, key string, most int, into *[]secret) {
	add := func(n *yaml.Node, from string, of func(string) secret) {
		for _, v := range d.texts(n, from, most) {
			s := of(v)
			s.key = from
			*into = append(*into, s)
		}
		if len(*into) > most {
			d.wrongf(n, from, "at most %d in all", most)
		}
	}
	known[key+"_file"] = func(n *yaml.Node) { add(n, key+"_file", func(v string) secret { return secret{file: v} }) }
	known[key+"_env"] = func(n *yaml.Node) { add(n, key+"_env", func(v string) secret { return secret{name: v} }) }
}
