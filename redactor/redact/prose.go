package redact

import (
	"bytes"
	"strings"
)

// prose are words that follow the name of a secret in sentences and messages, and
// are none: "Invalid token: expired", "Password: must be at least 8 characters",
// "using password: YES". A password that is one of these words is only known where
// it stands in quotes or as a member's value.
var prose = func() map[string]bool {
	words := map[string]bool{}
	for word := range strings.FieldsSeq(`
a about accepted access account active after again all allowed already also always an and another any app
application are argument as
ask assertion at attempt auth authenticated authentication authorization authorized
bad be been before being between blank both but by bytes
call can cannot change changed changes character characters check choose claim clear click code configured
contact contains context
correct could created credential credentials current custom
data days decode decoding default defined denied deleted did different digits disabled do does doesn doesnt don
done dont
either empty enabled encoded encrypted enter entered error errors every exceeded exists expected expiration
expired expires expiry
fail failed failure fails false field file flag follow for form format forbidden found from
generate generated get given go got granted
had has hash have header here hidden history how hours
if ignored in include incorrect input instead insufficient into invalid invalidated invalidity is issue issued issuer it its
keep key keys
last leave len length letters limit link login long longer lower
malformed manager match matches matching maximum may method minimum minutes mismatch missing mode modified more must
name named need needed needs new next no none nonexistent nor not nothing now null nil number
of off ok okay old omitted on once one only open operation option optional or other our out own
page parameter parse parsing part passed password passwords pending permission permitted placeholder please
policy pop present previous
private problem prompt protected provided provider public
read received recent redacted refresh refreshed refused rejected reject rejecting removed renewed request
requested required requires reset resets
resource response retry retrieved return returned revoked rotated rule rules
same saved scope second seconds secret secrets see select sent server service session set settings should show
sign signature signed since
size so some source special status still store stored string strong success successful successfully support supported
take than that the their them then there these they this those through time times to together token tokens too
true try type
unable unauthorized undefined unexpected unique unknown unset unsupported until up update updated updating upper
use used user username users using
valid validated validation validity value values verification verified verify via visit
was weak were what when where whether which while who will with within without wont word work wrong
yes you your
await async yield typeof lambda func function const var let str string bool int float optional nullable object
any bytes
masked filtered removed scrubbed sanitized obfuscated censored withheld omitted
`) {
		words[word] = true
	}
	return words
}()

// longestProse is how long a word of prose can be.
const longestProse = 16

// wordy reports whether the value is a word of prose, or a number, a bracket or a
// sign that stands where there is no value.
func wordy(value []byte) bool {
	if len(value) > longestToken {
		return false
	}
	value = bytes.Trim(value, ".,;:!?()[]{}\"'`*…-")
	if len(value) > longestProse {
		return false
	}
	var lowered [longestProse]byte
	for i, c := range value {
		lowered[i] = lower(c)
	}
	if len(value) == 0 || len(value) == 1 && kinds[value[0]] == kindDigit {
		return true
	}
	if len(value) <= len("v12") && lowered[0] == 'v' && allDigits(value[1:]) {
		return true // a version
	}
	return prose[string(lowered[:len(value)])]
}

// sentence reports whether a text in quotes is one, and no secret: This field is
// required.
func sentence(text []byte) bool {
	text = bytes.Trim(text, " '\"[]\\")
	words := 0
	for word := range bytes.FieldsSeq(text) {
		if !wordy(word) && (words == 0 || !allLetters(bytes.Trim(word, ".,!"))) {
			return false
		}
		if words++; words == longestSentence {
			break
		}
	}
	return words >= 3
}

// longestSentence is how many words of a sentence are looked at.
const longestSentence = 12

// The roots of expressions in program text: request.POST, self.token, os.environ.
var roots = map[string]bool{
	"self": true, "this": true, "cls": true, "request": true, "req": true, "res": true, "response": true, "os": true, "sys": true,
	"settings": true, "config": true, "cfg": true, "conf": true, "env": true, "process": true, "options": true,
	"opts": true, "params": true,
	"args": true, "kwargs": true, "app": true, "ctx": true, "context": true, "data": true, "form": true, "user": true, "session": true,
	"obj": true, "instance": true, "event": true, "flask": true, "django": true, "uuid": true, "secrets": true,
	"json": true, "jwt": true,
	"base64": true, "hashlib": true, "crypto": true, "random": true, "string": true, "client": true,
	"serializer": true, "payload": true,
	"body": true, "headers": true, "cookies": true, "credentials": true, "auth": true, "model": true, "parent": true, "state": true,
	"var": true, "local": true, "module": true, "vault": true,
}

// code reports whether the value behind "name = " is an expression of program
// text, as tracebacks quote it: get_token(request), request.POST["password"].
func code(value []byte) bool {
	end := 0
	for end < len(value) && (wordByte[value[end]] || value[end] == '_') {
		end++
	}
	if end == 0 || kinds[value[0]] == kindDigit {
		return false
	}
	if end == len(value) {
		return false
	}
	switch value[end] {
	case '(':
		return true
	case '.', '[':
		return end <= longestProse && roots[string(value[:end])] || bytes.IndexByte(value, '(') > 0 &&
			identifier(value[:bytes.IndexByte(value, '(')])
	}
	return false
}

// callsItself reports whether the value is the name of a variable, passed on in a
// call: authenticate(username=username, password=password).
func callsItself(text []byte, n nameSpan, value []byte, end int) bool {
	if end >= len(text) || text[end] != ')' && text[end] != ',' || n.start == 0 || text[n.start-1] != '(' &&
		text[n.start-1] != ' ' && text[n.start-1] != ',' {
		return false
	}
	named := bytes.TrimLeft(text[n.start:n.end], "*_")
	return bytes.Equal(value, named) || bytes.HasSuffix(value, append([]byte{'_'}, named...)) &&
		identifier(value) || code(value)
}

// codeReach is how far before a number is looked for what says that it is a
// one-time code.
const codeReach = 64

// codePhrase reports whether the text ends in words behind which a one-time code
// comes: "your verification code is", "OTP:".
func codePhrase(before []byte) bool {
	before = bytes.TrimRight(before, " \t\r\n:=-#\"'")
	for bytes.HasSuffix(before, []byte(">")) { // <b>123456</b>
		open := bytes.LastIndexByte(before, '<')
		if open < 0 {
			return false
		}
		before = bytes.TrimRight(before[:open], " \t\r\n:")
	}
	before = bytes.TrimRight(bytes.TrimSuffix(before, []byte(" is")), " :")
	start := len(before)
	for start > 0 && wordByte[before[start-1]] {
		start--
	}
	last := before[start:]
	switch {
	case foldIs(last, "otp"), foldIs(last, "passcode"), foldIs(last, "pin"), foldIs(last, "totp"):
		return true
	case foldIs(last, "code"), foldIs(last, "password"):
	default:
		return false
	}
	for i, c := range before[:start] {
		if codeInitial[c] && (i == 0 || !wordByte[before[i-1]]) && startsCodeKind(before[i:start]) {
			return true
		}
	}
	return false
}

func startsCodeKind(text []byte) bool {
	for _, kind := range codeKinds {
		if len(text) >= len(kind) && foldIs(text[:len(kind)], kind) {
			return true
		}
	}
	return false
}

// codeKinds say of a code that it lets somebody in.
var codeKinds = []string{
	"verification", "one-time", "one time", "login", "security", "authentication", "confirmation", "recovery",
	"access", "mfa", "2fa", "sms", "backup", "passcode", "authenticator", "sign-in",
}

// codeInitial marks the bytes with which these begin.
var codeInitial = func() (table [256]bool) {
	for _, kind := range codeKinds {
		table[kind[0]], table[kind[0]&^0x20] = true, true
	}
	table['2'&^0x20] = false
	return table
}()

// containsFold reports whether a text has the word in it, which is in lower case.
func containsFold(text []byte, word string) bool {
	for i := 0; i+len(word) <= len(text); i++ {
		if lower(text[i]) == word[0] && foldIs(text[i:i+len(word)], word) {
			return true
		}
	}
	return false
}
