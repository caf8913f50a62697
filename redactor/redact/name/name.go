// Package name decides what a name says about its value: whether what stands
// under password, X-Api-Key, dbPass or user[token] is a secret.
//
// It owns the vocabulary. A name is taken apart into words, as people write them:
// camelCase, kebab-case, snake_case, dots, brackets, digits; Unicode in any
// disguise is brought to plain letters first. Words decide, and never parts of
// words, so that author, monkey, compass and keyboard are none:
//
//   - Words and phrases that mean a secret: password, token, api key, session id,
//     recovery codes …, also glued together: newpass, accesstoken.
//   - What comes behind may say that the value is about the secret and not the
//     secret itself: token_count, password_change_date, secret_name. So may what
//     comes first: has_password, max_tokens.
//   - Phrases that look like one and are none: public key, auth method, cache key.
//   - Words that may mean a secret or something else: key, auth, pin. The shape
//     of the value decides then, which is not this package's.
//
// A hash of a password, its hint and its history count as secrets. Of a name
// beyond 256 bytes the last 256 count. It promises to be linear, never to fail
// and, for names in ASCII, not to allocate. It knows nothing of values.
package name

// Class is what a name tells, as a set of bits.
type Class uint32

const (
	// Secret names a secret, whatever it looks like; all of an object or a list
	// below it too.
	Secret Class = 1 << iota
	// Perhaps names what may be a secret: the shape of the value decides. An
	// object under it is judged by its own members.
	Perhaps
	// Guessable says beside one of these that it names what a person can guess or remember: a
	// password, a PIN, a code.
	Guessable
	// InQuery names what is a secret as a parameter of a URL, a form or a request.
	InQuery
	// OAuth names what is a secret beside other parameters of an OAuth exchange.
	OAuth
	// OAuthSign names a parameter that shows such an exchange.
	OAuthSign
	// Authorization is a header with an authentication scheme and credentials.
	Authorization
	// Cookie is a header of cookies.
	Cookie
	// SetCookie is a header that sets a cookie.
	SetCookie
	// Header is the name of an HTTP header that holds a secret.
	Header
	// PairName is the member that names the other one in pairs like
	// {"name":…,"value":…}.
	PairName
	// PairValue is that other one.
	PairValue
	// PairWhole is a PairValue that may be an object or a list as well.
	PairWhole
	// Identifies is a member of a model reference that says which object it is.
	Identifies
	// QueryString names a query string or the body of a form.
	QueryString
	// Request is http_request in authentik's events.
	Request
	// Args are the arguments of a request there.
	Args
)

// Classify decides about a name, given with its escapes resolved.
func Classify(name []byte) Class {
	var text spelled
	text.spell(name)
	class := text.classify()
	if text.foreign {
		// Once more with letters of other alphabets read as the Latin ones that they
		// look like: пароль is a word, and pаssword with a Cyrillic а another.
		text.fold(name)
		folded := text.classify()
		if class&Secret == 0 || folded&Secret != 0 {
			class = folded
		}
	}
	if class&Secret == 0 && text.signs && leet(name) {
		class |= Secret | Guessable
	}
	return class
}

// AppendWords appends the words of a name, in lower case and with a space between
// them, to dst.
func AppendWords(dst, name []byte) []byte {
	var text spelled
	text.spell(name)
	if text.foreign {
		text.fold(name)
	}
	return append(dst, text.joined()...)
}

// classify decides about the words.
func (t *spelled) classify() Class {
	whole := t.joined()
	class := wholes[string(whole)]
	if class&Secret != 0 {
		return class
	}
	var found Class
	cancelled := false
	for i := 0; i < t.n; {
		entry, size := t.phrase(i)
		switch {
		case entry.class&(Secret|Perhaps) != 0:
			if entry.class&Secret != 0 || found&Secret == 0 {
				found = found&^Perhaps&^Secret | entry.class
			}
			cancelled = entry.cancelled
		case entry.harmless:
			if found&Secret == 0 {
				found = 0
			}
		case entry.neutral && found != 0:
			cancelled = true
		}
		i += size
	}
	switch {
	case found == 0 || cancelled:
		return class
	case t.n > 1 && heads[string(t.word(0))]:
		return class
	case t.counts():
		return class
	}
	return class | found
}

// entry is what a word or a phrase means.
type entry struct {
	class Class
	// harmless is a phrase that looks like a secret's name and is none.
	harmless bool
	// neutral is a word that, behind a secret's, says that the value is about it.
	neutral bool
	// cancelled tells that a neutral word is glued to the secret's.
	cancelled bool
}

// longestPhrase is how many words a phrase has at most.
const longestPhrase = 4

// phrase finds the longest phrase that begins with word i, and how many words it
// has.
func (t *spelled) phrase(i int) (entry, int) {
	for size := min(longestPhrase, t.n-i); size > 1; size-- {
		if e, ok := lexicon[string(t.words(i, i+size))]; ok {
			return e, size
		}
	}
	word := t.word(i)
	if e, ok := lexicon[string(word)]; ok {
		// Some mean something else alone than beside another word.
		if t.n > 1 && e.class&Perhaps != 0 && besides[string(word)] {
			e.class = e.class&^Perhaps | Secret
		}
		return e, 1
	}
	return glued(word), 1
}

// counts reports whether the name is that of a number of tokens, as language
// models count them.
func (t *spelled) counts() bool {
	if t.n < 2 || string(t.word(t.n-1)) != "tokens" {
		return false
	}
	return counted[string(t.word(t.n-2))]
}
