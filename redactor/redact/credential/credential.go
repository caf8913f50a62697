// Package credential knows the credentials that can be told by their shape alone,
// wherever they stand: the token formats of vendors, JSON Web Tokens, private
// keys, addresses that are secrets themselves.
//
// It owns the shapes. Each is a named format with the place where it is
// documented. It promises to find each credential of a format that begins a word,
// to take no hash, identifier or word of a language for one, to look at each byte
// of a text a bounded number of times, and not to allocate.
//
// Where a prefix is unmistakable it is generous about what follows, since vendors
// lengthen their tokens: what runs on belongs to the token. A prefix that
// language has too (sk-, re_, key-) asks for the exact shape.
//
// Left out are tokens that are bare hexadecimal digits, UUIDs or letters, and can
// only be told by a word nearby (Datadog, Heroku's older ones, Fastly, Algolia and
// some hundred others): the name before them decides, and
// that is package name's. Public halves are left out too: certificates, public
// keys, publishable keys.
package credential

import "slices"

// Format is one family of credentials that can be told by its shape.
type Format struct {
	// Name identifies the format, [a-z][a-z0-9_]*.
	Name string
	// Meaning says in a sentence what it is.
	Meaning string
	// Source is where the shape is documented.
	Source string

	// A credential is one of the prefixes and at least min bytes of the alphabet.
	prefixes []string
	alphabet *alphabet
	min      int
	// mixed asks for digits and letters in what follows the prefix, for prefixes
	// that words have too; max, if there is one, for no more than that.
	mixed bool
	max   int
	// match decides instead, where there is more to it.
	match func(text []byte, i int) (start, end int, ok bool)
}

// Shape returns what most formats consist of: one of the prefixes, and at least
// so many bytes of the alphabet. The alphabet is empty where there is more to it.
func (f *Format) Shape() (prefixes []string, alphabet string, least int) {
	if f.match != nil {
		return nil, "", 0
	}
	for c := range f.alphabet {
		if f.alphabet[c] {
			alphabet += string(rune(c))
		}
	}
	return append([]string(nil), f.prefixes...), alphabet, f.min
}

// Found is a credential in a text.
type Found struct {
	// Format is the index of its format in [Formats].
	Format int
	// Start and End are the span to mask: in an address only the secret part.
	Start, End int
}

// Formats lists the formats, always in the same order.
func Formats() []Format { return append([]Format(nil), formats...) }

// Starts reports whether a credential may begin with the word text[i:end], so that
// [Match] is to be asked: by its first two bytes, or by what follows it where it
// may begin with anything.
func Starts(text []byte, i, end int) bool {
	if i+1 >= len(text) {
		return false
	}
	if end-i <= 2 && end < len(text) && text[end] == '%' {
		return false // of a percent-encoded text
	}
	a, b := text[i], text[i+1]
	return starts[a][b>>6]&(1<<(b&63)) != 0 || end < len(text) && (text[end] == Tilde || text[end] == '-' && end-i == mailchimpDigits)
}

// Tilde is the byte behind the first word of a client secret of Azure.
const Tilde = '~'

// Match reports the credential that begins with the word text[i:end]: letters and
// digits, with neither before it.
func Match(text []byte, i, end int) (Found, bool) {
	if i+shortestPrefix > len(text) {
		return Found{}, false
	}
	if end < len(text) && (text[end] == Tilde || text[end] == '-') {
		if start, end, ok := matchAzure(text, i); ok {
			return Found{Format: azure, Start: start, End: trimDot(text, end)}, true
		}
		if start, end, ok := matchMailchimp(text, i); ok {
			return Found{Format: mailchimp, Start: start, End: end}, true
		}
	}
	list := &lists[byStart[int(text[i])<<8|int(text[i+1])]]
	if c := text[i+2]; list.third[c>>6]&(1<<(c&63)) == 0 {
		return Found{}, false
	}
	for _, at := range list.formats {
		f := &formats[at]
		if f.match != nil {
			if start, end, ok := f.match(text, i); ok && !placeholder(text[start:end]) {
				return Found{Format: at, Start: start, End: trimDot(text, end)}, true
			}
			continue
		}
		for _, prefix := range f.prefixes {
			if end, ok := f.end(text, i, prefix); ok {
				return Found{Format: at, Start: i, End: end}, true
			}
		}
	}
	return Found{}, false
}

// trimDot leaves out the full stops of a sentence that ends at end.
func trimDot(text []byte, end int) int {
	for text[end-1] == '.' {
		end--
	}
	return end
}

// shortestPrefix is how much every matcher may look at without asking.
const shortestPrefix = 3

// judged is how many bytes of a credential decide whether it is one: the rest is
// read only if it is, so that a text of beginnings is read once.
const judged = 64

// end is where the credential ends that begins with the prefix at text[i].
func (f *Format) end(text []byte, i int, prefix string) (int, bool) {
	if len(text)-i < len(prefix)+f.min || string(text[i:i+len(prefix)]) != prefix {
		return 0, false
	}
	if f.max > 0 && i > 0 && text[i-1] == '.' {
		return 0, false // of the name of a file: video_box.ico-…
	}
	start := i + len(prefix)
	end := run(text, start, f.alphabet, max(judged, f.min, f.max+1))
	if body := text[start:end]; len(body) < f.min || f.max > 0 && len(body) > f.max || placeholder(body) || f.mixed && !mixed(body) {
		return 0, false
	}
	end = run(text, end, f.alphabet, 0)
	for end-start > f.min && (text[end-1] == '.' || text[end-1] == '-') {
		end-- // of the sentence
	}
	return end, true
}

// placeholder reports whether a body stands for a token and is none: xxxx, ****.
func placeholder(body []byte) bool {
	for _, c := range body {
		switch c {
		case '*':
			return true
		case 'x', 'X', '0', '.', '-', '_':
		default:
			return false
		}
	}
	return true
}

// mixed reports whether a body has digits and letters in it, and is not a few
// words with a number.
func mixed(body []byte) bool {
	digits, letters, changes := 0, 0, 0
	last := byte(0)
	for _, c := range body {
		kind := byte(0)
		switch {
		case '0' <= c && c <= '9':
			digits++
			kind = 1
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			letters++
			kind = 2
		}
		if kind != last && kind != 0 && last != 0 {
			changes++
		}
		if kind != 0 {
			last = kind
		}
	}
	return digits >= 2 && letters >= 2 && changes >= 3
}

// alphabet is a set of bytes.
type alphabet [256]bool

func newAlphabet(sets ...string) *alphabet {
	var a alphabet
	for _, set := range sets {
		for i := 0; i < len(set); i++ {
			if i+2 < len(set) && set[i+1] == '-' {
				for c := int(set[i]); c <= int(set[i+2]); c++ {
					a[c] = true
				}
				i += 2
				continue
			}
			a[set[i]] = true
		}
	}
	return &a
}

var (
	alnum       = newAlphabet("a-z", "A-Z", "0-9")
	lowerNum    = newAlphabet("a-z", "0-9")
	upperNum    = newAlphabet("A-Z", "0-9")
	hexDigits   = newAlphabet("0-9", "a-f", "A-F")
	word        = newAlphabet("a-z", "A-Z", "0-9", "_")
	base64URL   = newAlphabet("a-z", "A-Z", "0-9", "_", "-")
	base64Std   = newAlphabet("a-z", "A-Z", "0-9", "+", "/", "=")
	base64Any   = newAlphabet("a-z", "A-Z", "0-9", "+", "/", "=", "_", "-")
	dotted      = newAlphabet("a-z", "A-Z", "0-9", "_", "-", ".")
	dottedAny   = newAlphabet("a-z", "A-Z", "0-9", "_", "-", ".", "=", "+", "/")
	uuidLike    = newAlphabet("0-9", "a-f", "A-F", "-")
	dashedUpper = newAlphabet("A-Z", "0-9", "-")
	dollared    = newAlphabet("a-z", "A-Z", "0-9", "$")
)

// formats is all of them, the ones with a structure first: they are stricter.
var formats = func() []Format {
	var all []Format
	for _, group := range [][]Format{
		structured(), hashes(), addresses(), codeHosting(), cloud(), intelligence(), business(), operations(),
	} {
		all = append(all, group...)
	}
	return all
}()

// azure and mailchimp are the formats that are known by what follows their first
// word.
var (
	azure     = slices.IndexFunc(formats, func(f Format) bool { return f.Name == "azure_client_secret" })
	mailchimp = slices.IndexFunc(formats, func(f Format) bool { return f.Name == "mailchimp_api_key" })
)

// starts has a bit for each pair of bytes with which a format begins, byStart for
// each pair the index of the list of these formats.
var (
	starts  [256][4]uint64
	byStart [1 << 16]uint16
	lists   = make([]beginning, 1)
)

// beginning is what begins with a pair of bytes.
type beginning struct {
	formats []int
	third   [4]uint64 // a bit for each byte that may follow
}

func init() { //nolint:gochecknoinits // the tables of the tables above
	for at := range formats {
		for _, prefix := range formats[at].prefixes {
			for _, a := range first(prefix[0]) {
				for _, b := range first(prefix[1]) {
					enter(a, b, prefix[2:], at)
				}
			}
		}
	}
}

// enter puts the format on the list of a pair, with what may follow.
func enter(a, b byte, rest string, format int) {
	starts[a][b>>6] |= 1 << (b & 63)
	pair := int(a)<<8 | int(b)
	if byStart[pair] == 0 {
		byStart[pair] = uint16(len(lists))
		lists = append(lists, beginning{})
	}
	list := &lists[byStart[pair]]
	if n := len(list.formats); n == 0 || list.formats[n-1] != format {
		list.formats = append(list.formats, format)
	}
	if rest == "" {
		list.third = [4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
		return
	}
	list.third[rest[0]>>6] |= 1 << (rest[0] & 63)
}

// Stand-ins in the prefix of a format that has a match of its own.
const (
	anyDigit = '\x01'
	anyAlnum = '\x02'
)

func first(c byte) []byte {
	switch c {
	case anyDigit:
		return []byte("0123456789")
	case anyAlnum:
		return []byte("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	}
	return []byte{c}
}
