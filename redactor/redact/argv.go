package redact

import (
	"bytes"

	"sluice/schemas/jsontoken"
)

// argument masks the password in the string at token i, if the list around it is a
// command with its arguments: ["curl","-u","bob:…"], ["mysql","-p…"]. Options with
// a name that says so are the business of expectNext.
func (w *walk) argument(d *document, i uint32, depth int, parent *frame) bool {
	before := d.tokens[i-1]
	if i == parent.first || before.Kind != jsontoken.String {
		return false
	}
	var last [longestOption]byte
	option := last[:0]
	if before.End-before.Start <= longestOption {
		option = append(option, w.nameText(d, before)...)
	}
	if byteAt(option, 0) != '-' && byteAt(d.layer.text, int(d.tokens[i].Start)+1) != '-' {
		return false
	}
	known := w.commandOf(d, parent)
	if known == 0 {
		return false
	}
	l := d.text(d.tokens[i], &w.layers[depth][0])
	start := argumentStart(l.text, option, known)
	if start < 0 || !hidden(l.text[start:]) {
		return false
	}
	w.edit(&l, start, len(l.text), ruleArgument, true)
	return true
}

// longestOption is longer than each of the options below.
const longestOption = 16

// argumentStart is where in an argument its password begins, -1 if it has none. The
// option is the argument before it.
func argumentStart(text, option []byte, known seen) int {
	var user []byte
	switch is := string(option); {
	case known&(seenMySQL|seenSSHPass) != 0 && len(text) > 2 && text[0] == '-' && text[1] == 'p':
		return 2
	case is == "-p" && known&seenSSHPass != 0, is == "-w" && known&seenLDAP != 0, is == "-a" && known&seenRedis != 0, is == "-P" && known&seenZip != 0:
		return 0
	case known&seenCurl == 0:
		return -1
	case is == "-u", is == "--user", is == "--proxy-user":
		user = text
	case bytes.HasPrefix(text, []byte("--user=")), bytes.HasPrefix(text, []byte("--proxy-user=")):
		user = text
	}
	if colon := bytes.IndexByte(user, ':'); colon >= 0 {
		return colon + 1
	}
	return -1
}

// commandOf returns which command the list begins with: a word or two, docker
// login.
func (w *walk) commandOf(d *document, list *frame) seen {
	w.command = w.command[:0]
	for i := list.first; i < min(list.end, list.first+2); i++ {
		tok := d.tokens[i]
		if tok.Kind != jsontoken.String || tok.End-tok.Start > longestName {
			break
		}
		w.command = append(append(w.command, w.nameText(d, tok)...), ' ')
	}
	return commandsIn(w.command)
}
