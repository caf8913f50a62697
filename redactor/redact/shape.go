package redact

import (
	"bytes"
	"strings"

	"sluice/redactor/redact/name"
	"sluice/schemas"
)

// hidden reports whether there is something to hide: not nothing, not the mask,
// nor what others have masked already: ***, [REDACTED], <hidden>, xxxxxxxx.
func hidden(value []byte) bool {
	switch {
	case len(value) == 0, string(value) == schemas.Mask:
		return false
	case len(value) >= 3 && strings.IndexByte("*xX.-#", value[0]) >= 0:
		for _, c := range value {
			if c != value[0] {
				return true
			}
		}
		return false
	}
	return !bracketedWord(value) && !shellVariable(value) && !substitution(value)
}

// substitution reports whether the value is what a shell puts the output of a
// command in the place of: $(cat /run/token).
func substitution(value []byte) bool {
	return len(value) > 3 && value[0] == '$' && value[1] == '(' && 'a' <= value[2] && value[2] <= 'z' &&
		len(value) <= longestExpression && bytes.IndexByte(value, ')') == len(value)-1
}

// shellVariable reports whether the value is a variable of a shell: $API_KEY, $1.
func shellVariable(value []byte) bool {
	if len(value) < 2 || value[0] != '$' {
		return false
	}
	for _, c := range value[1:] {
		if (c < 'A' || c > 'Z') && c != '_' && kinds[c] != kindDigit {
			return false
		}
	}
	return true
}

// bracketedWord reports whether the value is a word in brackets that stands for
// something which is not shown: [FILTERED], <redacted>, {{ token }}, ${DB_PASSWORD}.
func bracketedWord(value []byte) bool {
	variable := false
	if len(value) > 3 && value[0] == '$' && value[1] == '{' || len(value) > 4 && value[0] == '{' && value[1] == '{' {
		value, variable = value[1:], true
	}
	if len(value) < 3 || len(value) > longestName {
		return false
	}
	bracket := value[0]
	switch bracket {
	case '[', '<', '(', '{':
	default:
		return false
	}
	end := len(value)
	for end > 0 && (value[end-1] == ']' || value[end-1] == '>' || value[end-1] == ')' || value[end-1] == '}') {
		end--
	}
	if end == len(value) {
		return false
	}
	inner := value[1:max(end, 1)]
	if variable {
		inner = bytes.TrimPrefix(inner, []byte("{"))
	}
	return standIn(inner, variable) || (bracket == '<' || bracket == '{') && placeholder(inner)
}

// standIn reports whether a text in brackets is words that stand for a value.
func standIn(text []byte, variable bool) bool {
	for len(text) > 0 {
		end := 0
		for end < len(text) && (kinds[text[end]] == kindWord || variable && kinds[text[end]] == kindDigit) {
			end++
		}
		switch {
		case end == 0 && strings.IndexByte("_- .*$", text[0]) >= 0:
			end = 1
		case end == 0:
			return false
		case !variable && !wordy(text[:end]):
			return false
		}
		text = text[end:]
	}
	return true
}

// placeholder reports whether a text in brackets is the name of a secret, in whose
// place one is to be put: <YOUR_API_KEY>, {accessToken}.
func placeholder(text []byte) bool {
	for _, c := range text {
		if kinds[c] != kindWord && c != '_' && c != '-' && c != ' ' {
			return false
		}
	}
	return name.Classify(text)&name.Secret != 0
}

// likely reports whether a value looks like a secret, where its name may mean one
// or something else.
func likely(value []byte, class name.Class) bool {
	if class&name.Guessable != 0 {
		return hidden(value) && !wordy(value) && !pathLike(value) && bytes.IndexByte(value, ' ') < 0
	}
	return len(value) >= 8 && hidden(value) && tokenLike(value)
}

// tokenLike reports whether a value looks made by a machine to be guessed by
// nobody: it has a run of letters and digits in which a letter follows a digit, and
// it is not a UUID, a time or an address.
func tokenLike(value []byte) bool {
	if len(value) > longestToken {
		value = value[:longestToken]
	}
	if len(value) < 8 || isUUID(value) {
		return false
	}
	run, mixed, upper, lowerCase, digits := 0, false, 0, 0, 0
	for i, c := range value {
		switch {
		case 'a' <= c && c <= 'z':
			lowerCase++
		case 'A' <= c && c <= 'Z':
			upper++
		case '0' <= c && c <= '9':
			digits++
		case strings.IndexByte("-_.~+/=|!$%*@^#", c) >= 0:
			run = 0
			continue
		default:
			return false // a space, a bracket, another alphabet
		}
		run++
		if run >= 5 && digits > 0 && i > 0 && kinds[c] == kindWord && kinds[value[i-1]] == kindDigit {
			mixed = true
		}
		if run >= 24 && upper > 2 && lowerCase > 2 {
			mixed = true // twenty letters and more that are no word
		}
	}
	return mixed && upper+lowerCase >= 2
}

const longestToken = 128

func isUUID(value []byte) bool {
	if len(value) != 36 || value[8] != '-' || value[13] != '-' || value[18] != '-' || value[23] != '-' {
		return false
	}
	for _, c := range value {
		if _, ok := unhex(c); !ok && c != '-' {
			return false
		}
	}
	return true
}

// likelyParameter is likely for a parameter of a URL, where key=… rarely means
// anything but a secret.
func likelyParameter(value []byte) bool {
	if !hidden(value) || wordy(value) || isUUID(value) {
		return false
	}
	return len(value) >= 16 && !identifier(value) || hasDigit(value) && !allDigits(value) && len(value) >= 6
}

// harmlessParameter reports whether the value of a parameter that usually is a
// secret is none: a path or a URL to come back to, a short number, a word.
func harmlessParameter(value []byte) bool {
	return len(value) == 0 || value[0] == '/' || bytes.HasPrefix(value, []byte("http")) || bytes.HasPrefix(value, []byte("%2F")) ||
		len(value) < 6 && allDigits(value) || wordy(value) || issueKey(value)
}

// issueKey reports whether the value is the key of an issue or a ticket: OPS-123.
func issueKey(value []byte) bool {
	dash := bytes.IndexByte(value, '-')
	return dash > 0 && dash <= 10 && allLetters(value[:dash]) && len(value)-dash <= 8 && allDigits(value[dash+1:])
}

// identifier reports whether the value is a plain name: letters, and - _ . between.
func identifier(value []byte) bool {
	for _, c := range value {
		if kinds[c] != kindWord && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return len(value) > 0
}

func pathLike(value []byte) bool {
	return strings.IndexByte("/~.", value[0]) >= 0 || len(value) > 2 && value[1] == ':' && strings.IndexByte(`\/`, value[2]) >= 0
}

func allLetters(value []byte) bool {
	for _, c := range value {
		if kinds[c] != kindWord {
			return false
		}
	}
	return len(value) > 0
}

func allDigits(value []byte) bool {
	for _, c := range value {
		if kinds[c] != kindDigit {
			return false
		}
	}
	return len(value) > 0
}

func hasDigit(value []byte) bool {
	for _, c := range value {
		if kinds[c] == kindDigit {
			return true
		}
	}
	return false
}

func hasSymbol(value []byte) bool {
	for _, c := range value {
		if !wordByte[c] && c < 0x80 && c != '-' && c != '\'' && c != '.' && c != ',' {
			return true
		}
	}
	return false
}
