package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"

	"sluice/producer/generate"
)

// secretList is the side file of generate: what was planted where, so that anyone
// can look for it behind the redactor. Without a file it does nothing.
type secretList struct {
	file    *os.File
	out     *bufio.Writer
	encoder *json.Encoder
	err     error
}

// listed is one line of it.
type listed struct {
	PK      string `json:"pk"`
	Action  string `json:"action"`
	Pointer string `json:"pointer"`
	Carrier string `json:"carrier"`
	Value   string `json:"value"`
	Encoded string `json:"encoded"`
}

func newSecretList(name string) (*secretList, error) {
	if name == "" {
		return &secretList{}, nil
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriterSize(file, 64<<10)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return &secretList{file: file, out: out, encoder: encoder}, nil
}

func (l *secretList) add(ev *generate.Event) {
	if l.file == nil {
		return
	}
	for _, s := range ev.Secrets {
		l.err = errors.Join(l.err, l.encoder.Encode(listed{ev.PK, ev.Action, s.Pointer, s.Carrier, s.Value, s.Encoded}))
	}
}

func (l *secretList) close() error {
	if l.file == nil {
		return nil
	}
	return errors.Join(l.err, l.out.Flush(), l.file.Close())
}
