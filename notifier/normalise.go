package notifier

import "strings"

// The bounds of normalised text. What stands behind them does not tell two
// troubles apart that the beginning does not.
const (
	normaliseInBytes  = 64 << 10
	normaliseOutBytes = 2 << 10
)

// normalise takes out of a message what differs each time the same thing is
// said: ids, numbers, times, addresses and quoted text become placeholders, and
// white space one space. It reads each byte a bounded number of times, whatever
// the text.
func normalise(text string) string {
	if len(text) > normaliseInBytes {
		text = cutBytes(text, normaliseInBytes)
	}
	n := normaliser{src: text, out: make([]byte, 0, min(len(text), normaliseOutBytes)+16)}
	for n.at < len(n.src) && len(n.out) < normaliseOutBytes {
		n.next()
	}
	return strings.TrimSuffix(cutBytes(string(n.out), normaliseOutBytes), " ")
}

// normaliser is a scanner: at is always where a token begins.
type normaliser struct {
	src string
	at  int
	out []byte
	// checked is up to where the text is known to hold no e-mail address, so
	// that its parts are not searched again.
	checked int
	// unclosed are the quotation marks (', ", `) known to have no closing one in
	// the rest of the text, so that it is searched once.
	unclosed [3]bool
}

// next writes what stands at the current place, as it is or as a placeholder,
// and moves behind it.
func (n *normaliser) next() {
	rest := n.src[n.at:]
	switch c := rest[0]; {
	case isSpace(c):
		n.at++
		if len(n.out) > 0 && n.out[len(n.out)-1] != ' ' {
			n.out = append(n.out, ' ')
		}
	case strings.IndexByte(quotes, c) >= 0:
		n.quoted(strings.IndexByte(quotes, c))
	case isWord(c) || c == ':' && n.startsAddress():
		n.word()
	default:
		n.copy()
	}
}

func (n *normaliser) copy() {
	n.out = append(n.out, n.src[n.at])
	n.at++
}

func (n *normaliser) replace(placeholder string, size int) {
	n.out = append(n.out, placeholder...)
	n.at += size
}

const quotes = "'\"`"

// quoted replaces quoted text. A mark between letters is an apostrophe.
func (n *normaliser) quoted(kind int) {
	if n.unclosed[kind] || kind == 0 && n.at > 0 && isWord(n.src[n.at-1]) {
		n.copy()
		return
	}
	for i := n.at + 1; i < len(n.src); i++ {
		if n.src[i] == '\\' && i+1 < len(n.src) {
			i++
			continue
		}
		if n.src[i] == quotes[kind] && (kind != 0 || i+1 == len(n.src) || !isWord(n.src[i+1])) {
			n.replace("<text>", i+1-n.at)
			return
		}
	}
	n.unclosed[kind] = true
	n.copy()
}

// word replaces or copies what begins with a letter, a digit or an underscore.
func (n *normaliser) word() {
	rest := n.src[n.at:]
	if size := n.email(); size > 0 {
		n.replace("<email>", size)
		return
	}
	for _, known := range []struct {
		placeholder string
		match       func(string) int
	}{{"<uuid>", matchUUID}, {"<time>", matchTime}, {"<ip>", matchIP}} {
		if size := known.match(rest); size > 0 && !continues(rest, size) {
			n.replace(known.placeholder, size)
			return
		}
	}
	if size := span(rest, isWord); size > 0 {
		n.identifier(rest[:size])
		return
	}
	n.copy()
}

// identifier writes a run of letters, digits and underscores: as <hex> or <id>
// if it looks like one, else with its numbers taken out.
func (n *normaliser) identifier(run string) {
	digits, groups, hex := 0, 0, true
	for i := range len(run) {
		if isDigit(run[i]) {
			digits++
			if i == 0 || !isDigit(run[i-1]) {
				groups++
			}
		}
		hex = hex && isHex(run[i])
	}
	letters := len(run) - digits
	switch {
	case len(run) > 2 && run[0] == '0' && (run[1] == 'x' || run[1] == 'X') && span(run[2:], isHex) == len(run)-2:
		n.replace("<hex>", len(run))
	case hex && letters > 0 && digits > 0 && len(run) >= minHexLen:
		n.replace("<hex>", len(run))
	case letters > 0 && (groups >= 2 && len(run) >= minMixedLen || groups >= 1 && len(run) >= minTokenLen && !strings.Contains(run, "_")):
		n.replace("<id>", len(run))
	default:
		n.numbers(run)
	}
}

// What counts as an id rather than a word: seven hex digits (a short commit id),
// five letters and digits in turns (a pod's suffix), twenty of any kind (a
// token). A wrong guess merges two words of the same message, no more.
const (
	minHexLen   = 7
	minMixedLen = 5
	minTokenLen = 20
)

// numbers copies a run with each number in it, its fraction included, as <n>.
func (n *normaliser) numbers(run string) {
	for end := n.at + len(run); n.at < end; {
		size := span(n.src[n.at:end], isDigit)
		if size == 0 {
			n.copy()
			continue
		}
		rest := n.src[n.at+size:]
		for len(rest) > 1 && (rest[0] == '.' || rest[0] == ',') && isDigit(rest[1]) {
			more := 1 + span(rest[1:], isDigit)
			size, rest = size+more, rest[more:]
		}
		n.replace("<n>", size)
	}
}

// email returns the length of the e-mail address that begins here.
func (n *normaliser) email() int {
	if n.at < n.checked {
		return 0
	}
	rest := n.src[n.at:]
	local := span(rest, func(c byte) bool { return isWord(c) || strings.IndexByte(".%+-", c) >= 0 })
	n.checked = n.at + local
	if local == 0 || local == len(rest) || rest[local] != '@' {
		return 0
	}
	domain := span(rest[local+1:], func(c byte) bool { return isWord(c) || c == '.' || c == '-' })
	if domain == 0 {
		return 0
	}
	for rest[local+domain] == '.' { // the end of the sentence
		domain--
		if domain == 0 {
			return 0
		}
	}
	return local + 1 + domain
}

// startsAddress tells whether the colon here begins an IPv6 address such as ::1.
func (n *normaliser) startsAddress() bool {
	return (n.at == 0 || !isWord(n.src[n.at-1]) && n.src[n.at-1] != ':') && strings.HasPrefix(n.src[n.at:], "::")
}

// continues tells whether the word goes on after size bytes.
func continues(s string, size int) bool { return size < len(s) && isWord(s[size]) }

// cutBytes shortens s to at most size bytes at the boundary of a character.
func cutBytes(s string, size int) string {
	if len(s) <= size {
		return s
	}
	for size > 0 && s[size]&0xc0 == 0x80 {
		size--
	}
	return s[:size]
}

func span(s string, in func(byte) bool) int {
	i := 0
	for i < len(s) && in(s[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// isWord counts the bytes of every other script as letters.
func isWord(c byte) bool {
	return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || c >= 0x80
}
