package name

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxName  = 256 // bytes of a name that count, the last ones
	maxWords = 24
)

// spelled is a name as its words, in lower case.
type spelled struct {
	buf    [2 * maxName]byte
	starts [maxWords + 1]uint16 // where each word begins in buf; behind each is a space
	n      int                  // words
	size   int                  // of buf
	// foreign tells that the name has more than ASCII in it, signs that it has
	// digits or signs that may stand for letters.
	foreign, signs bool
}

func (t *spelled) word(i int) []byte { return t.words(i, i+1) }

// words are the words from i to end, with a space between them.
func (t *spelled) words(i, end int) []byte { return t.buf[t.starts[i] : t.starts[end]-1] }

func (t *spelled) joined() []byte {
	if t.n == 0 {
		return nil
	}
	return t.words(0, t.n)
}

// spell takes a name apart.
func (t *spelled) spell(name []byte) {
	if len(name) > maxName {
		name = name[len(name)-maxName:]
	}
	for _, c := range name {
		if c >= utf8.RuneSelf {
			t.foreign = true
			t.split(norm.NFKC.Bytes(name), false)
			return
		}
	}
	t.split(name, false)
}

// fold takes it apart once more, with look-alikes read as Latin letters.
func (t *spelled) fold(name []byte) {
	if len(name) > maxName {
		name = name[len(name)-maxName:]
	}
	// The Kelvin sign decomposes into a capital, with which no word begins here.
	name = bytes.ReplaceAll(name, []byte("\u212a"), []byte("k"))
	t.split(norm.NFKD.Bytes(name), true)
}

// What a character is to the words.
type shape uint8

const (
	gap shape = iota
	lowerCase
	upperCase
	digit
	mark // it is not there: an accent, a zero-width character
)

// split cuts the text into words: at what is neither letter nor digit, before a
// capital, and between letters and digits.
func (t *spelled) split(text []byte, latin bool) {
	t.n, t.size = 0, 0
	before := gap
	for i := 0; i < len(text) && t.size < len(t.buf)-utf8.UTFMax-1; {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(text[i:])
			if latin {
				r = lookalike(r)
			}
		}
		now := shapeOf(r)
		next := i + size
		if now == mark {
			i = next
			continue
		}
		switch {
		case now == gap:
			if r == '@' || r == '$' {
				t.signs = true
			}
		case before == gap, now == digit && before != digit, now != digit && before == digit,
			now == upperCase && before == lowerCase,
			now == upperCase && before == upperCase && next < len(text) && 'a' <= text[next] && text[next] <= 'z' && !pluralEnd(text, next):
			t.begin()
		}
		if now != gap {
			t.signs = t.signs || now == digit
			if now == upperCase {
				r = unicode.ToLower(r)
			}
			t.size += utf8.EncodeRune(t.buf[t.size:], r)
		}
		before = now
		i = next
	}
	if t.n > 0 {
		t.buf[t.size] = ' '
		t.starts[t.n] = uint16(t.size + 1)
	}
}

// pluralEnd reports whether the lower-case letter at i is the s of a plural in
// capitals: APIKEYs, JWTs.
func pluralEnd(text []byte, i int) bool {
	return text[i] == 's' && (i+1 == len(text) || shapeOf(rune(text[i+1])) == gap || 'A' <= text[i+1] && text[i+1] <= 'Z')
}

// begin begins the next word; the last one takes all that is left.
func (t *spelled) begin() {
	if t.n == maxWords {
		return
	}
	if t.n > 0 {
		t.buf[t.size] = ' '
		t.size++
	}
	t.starts[t.n] = uint16(t.size)
	t.n++
}

func shapeOf(r rune) shape {
	switch {
	case 'a' <= r && r <= 'z':
		return lowerCase
	case 'A' <= r && r <= 'Z':
		return upperCase
	case '0' <= r && r <= '9':
		return digit
	case r < utf8.RuneSelf:
		return gap
	case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Me, r):
		return mark
	case unicode.IsUpper(r):
		return upperCase
	case unicode.IsDigit(r):
		return digit
	case unicode.IsLetter(r):
		return lowerCase
	}
	return gap
}

// leet reports whether the name is a word for a secret with digits and signs in
// place of letters: passw0rd, t0ken, p@ssword.
func leet(name []byte) bool {
	var plain [len("passwords") + 1]byte
	if len(name) >= len(plain) {
		return false
	}
	for i, c := range name {
		switch c {
		case '0':
			c = 'o'
		case '1':
			c = 'i'
		case '3':
			c = 'e'
		case '4', '@':
			c = 'a'
		case '5', '$':
			c = 's'
		}
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		plain[i] = c
	}
	switch string(plain[:len(name)]) {
	case "password", "passwd", "token", "secret", "passwords", "tokens", "secrets":
		return true
	}
	return false
}

// lookalike returns the Latin letter that r looks like, r itself if there is none.
func lookalike(r rune) rune {
	if latin, ok := lookalikes[r]; ok {
		return latin
	}
	return r
}

// The letters of other alphabets, and of Latin beyond ASCII, that look like a
// Latin letter and are not made plain by Unicode's own normalisation (after the
// confusables of Unicode Technical Standard 39).
var lookalikes = func() map[rune]rune {
	table := map[rune]rune{}
	for latin, same := range map[rune]string{
		'a': "аɑαаⱥ", 'b': "ЬƅЪɓ", 'c': "сϲᴄⅽ", 'd': "ԁɗđⅾ", 'e': "еёҽєε℮ɛ", 'f': "ғƒ", 'g': "ɡց", 'h': "һհħ", 'i': "іıіɩι",
		'j': "јϳʝ", 'k': "кκĸк", 'l': "ӏłⅼɭ", 'm': "мⅿɱ", 'n': "пηոɴ", 'o': "оοσօøɔ", 'p': "рρϱ", 'q': "ԛգ", 'r': "гɾʀ", 's': "ѕſꜱʂ",
		't': "тτŧ", 'u': "υսᴜʋ", 'v': "ѵνᴠⅴ", 'w': "ԝωшѡ", 'x': "хχⅹ", 'y': "уγүʏ", 'z': "ᴢʐ",
		'A': "АΑ", 'B': "ВΒ", 'C': "СϹ", 'E': "ЕΕ", 'H': "НΗ", 'I': "ІΙӀ", 'J': "Ј", 'K': "КΚ", 'M': "МΜ", 'N': "Ν", 'O': "ОΟØ", 'P': "РΡ",
		'S': "Ѕ", 'T': "ТΤ", 'X': "ХΧ", 'Y': "УΥҮ", 'Z': "Ζ", 'L': "Ł", 'D': "Đ",
	} {
		for _, r := range same {
			table[r] = latin
		}
	}
	return table
}()
