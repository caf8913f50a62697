package corpus

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// carrier is a way in which a secret stands in an event.
type carrier struct {
	name  string
	kinds []kind
	// build makes the event's context, false if the secret cannot stand so.
	build func(s secret) (any, bool)
	// keep is what stands beside the secret and must stay.
	keep []string
	// rewrite changes the event's bytes, for what no encoder writes.
	rewrite func(event []byte) []byte
	// encoded are further texts that would be leaks.
	encoded func(s secret) []string
}

const beside = "stays-as-it-is"

func carriersFor(k kind) []carrier {
	var out []carrier
	for _, c := range carriers() {
		if slices.Contains(c.kinds, k) {
			c.keep = append(c.keep, beside)
			build := c.build
			c.build = func(s secret) (any, bool) {
				inner, ok := build(s)
				return map[string]any{"action": "login", "app": "authentik.core", "context": map[string]any{"at": inner, "beside": beside}}, ok
			}
			out = append(out, c)
		}
	}
	return out
}

type object = map[string]any

// plain reports whether a value can stand in text without quotes.
func plain(s secret) bool { return !strings.ContainsAny(s.value, " \t\n\"'\\") }

// simple reports whether it consists of nothing that means something in text.
func simple(s secret) bool { return s.value == s.core }

func text(form func(s secret) string) func(secret) (any, bool) {
	return func(s secret) (any, bool) { return object{"message": form(s)}, true }
}

func plainText(form func(s secret) string) func(secret) (any, bool) {
	return func(s secret) (any, bool) { return object{"message": form(s)}, plain(s) && simple(s) }
}

func quoteJSON(v any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err) // it cannot
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// nest is JSON in a string, so many times.
func nest(v any, times int) any {
	for range times {
		v = quoteJSON(v)
	}
	return v
}

// percent encodes a text so many times.
func percent(text string, times int) string {
	for range times {
		text = strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
	}
	return text
}

func carriers() []carrier {
	all := []kind{named, shaped, phrased, header}
	names := []kind{named, header}
	var list []carrier
	add := func(c carrier) { list = append(list, c) }
	leaf := func(s secret) any {
		if s.name == "" || s.name == "x" {
			return object{"note": s.value}
		}
		return object{s.name: s.value}
	}

	// As a member.
	add(carrier{name: "leaf", kinds: all, build: func(s secret) (any, bool) { return leaf(s), true }})
	add(carrier{name: "nested", kinds: all, build: func(s secret) (any, bool) { return object{"a": []any{object{"b": leaf(s)}}}, true }})
	add(carrier{name: "list", kinds: all, build: func(s secret) (any, bool) {
		if s.name == "" || s.name == "x" {
			return []any{"one", s.value}, true
		}
		return object{s.name: []any{s.value, s.value}}, true
	}})
	add(carrier{name: "container", kinds: names, build: func(s secret) (any, bool) { return object{s.name: object{"value": object{"raw": s.value}}}, true }})
	add(carrier{name: "duplicate", kinds: names, rewrite: repeatMember, build: func(s secret) (any, bool) {
		return object{s.name: s.value}, true
	}})
	add(carrier{name: "escaped_key", kinds: names, build: func(s secret) (any, bool) { return leaf(s), true }, rewrite: escapeNames})
	for times := 1; times <= 4; times++ {
		add(carrier{name: "json_in_string_" + string(rune('0'+times)), kinds: all, build: func(s secret) (any, bool) { return object{"body": nest(leaf(s), times)}, true }})
	}
	add(carrier{name: "json_in_log", kinds: all, build: text(func(s secret) string { return "sent " + quoteJSON(object{"a": leaf(s)}) + " to the server" })})
	add(carrier{name: "json_container_in_string", kinds: names, build: func(s secret) (any, bool) {
		return object{"body": quoteJSON(object{s.name: []any{object{"v": s.value}}})}, true
	}})
	add(carrier{name: "used_as_key", kinds: []kind{shaped}, build: func(s secret) (any, bool) { return object{s.value: object{"uses": 3}}, true }})

	// Parameters.
	query := func(s secret) string { return "a=1&" + s.name + "=" + percent(s.value, 1) + "&b=2" }
	add(carrier{name: "query", kinds: []kind{named}, build: func(s secret) (any, bool) { return object{"path": "/p?" + query(s)}, true }})
	add(carrier{name: "query_string", kinds: []kind{named}, build: func(s secret) (any, bool) { return object{"query": query(s)}, true }})
	add(carrier{name: "fragment", kinds: []kind{named}, build: func(s secret) (any, bool) { return object{"url": "https://h.example/#" + query(s)}, true }})
	add(carrier{name: "form", kinds: []kind{named}, build: func(s secret) (any, bool) { return object{"body": "user=bob&" + query(s)}, true }})
	add(carrier{name: "form_first", kinds: []kind{named}, build: func(s secret) (any, bool) {
		return object{"body": s.name + "=" + percent(s.value, 1) + "&user=bob"}, true
	}})
	add(carrier{name: "percent_2", kinds: []kind{named, shaped}, build: func(s secret) (any, bool) { return object{"url": "/p?next=" + percent("/q?"+query(s), 1)}, true }})
	add(carrier{name: "percent_3", kinds: []kind{named, shaped}, build: func(s secret) (any, bool) { return object{"url": "/p?next=" + percent("/q?"+query(s), 2)}, true }})
	add(carrier{name: "encoded_name", kinds: []kind{named}, build: func(s secret) (any, bool) {
		return object{"url": "/p?" + percent(s.name[:1], 0) + "%" + strings.ToUpper(hex(s.name[1])) + s.name[2:] + "=" + percent(s.value, 1) + "&x=1"}, s.name[1] < 0x80
	}})
	add(carrier{name: "args", kinds: []kind{named}, build: func(s secret) (any, bool) {
		return object{"http_request": object{"args": object{s.name: s.value}}}, true
	}})
	add(carrier{name: "args_query", kinds: []kind{named}, build: func(s secret) (any, bool) {
		return object{"http_request": object{"args": object{"query": query(s)}}}, true
	}})
	add(carrier{name: "url_in_text", kinds: []kind{named}, build: text(func(s secret) string { return "GET https://h.example/p?" + query(s) + " HTTP/1.1 200" })})
	add(carrier{name: "url_parameter", kinds: []kind{shaped}, build: func(s secret) (any, bool) {
		return object{"url": "https://h.example/p?x=" + percent(s.value, 1) + "&y=2"}, true
	}})

	// Pairs and lists.
	add(carrier{name: "pair", kinds: names, build: func(s secret) (any, bool) {
		return object{"headers": []any{object{"name": s.name, "value": s.value}}}, true
	}})
	add(carrier{name: "pair_key", kinds: names, build: func(s secret) (any, bool) {
		return []any{object{"key": s.name, "value": s.value, "enabled": true}}, true
	}})
	add(carrier{name: "pair_list", kinds: names, build: func(s secret) (any, bool) {
		return object{"headers": []any{[]any{"Accept", "*/*"}, []any{s.name, s.value}}}, true
	}})
	add(carrier{name: "pair_values", kinds: names, build: func(s secret) (any, bool) {
		return object{"attributes": []any{object{"key": s.name, "value": object{"stringValue": s.value}}}}, true
	}})
	add(carrier{name: "header_map", kinds: names, build: func(s secret) (any, bool) {
		return object{"headers": object{"Accept": "*/*", s.name: []any{s.value}}}, true
	}})
	add(carrier{name: "argv", kinds: []kind{named}, build: func(s secret) (any, bool) {
		return object{"argv": []any{"tool", "--" + s.name, s.value, "--verbose"}}, s.value[0] != '-'
	}})

	return append(list, textCarriers(leaf)...)
}

// textCarriers are those in text, and base64.
func textCarriers(leaf func(secret) any) []carrier {
	all, texts := []kind{named, shaped, phrased, header}, []kind{shaped, phrased}
	var list []carrier
	add := func(c carrier) { list = append(list, c) }
	add(carrier{name: "log_equals", kinds: []kind{named}, build: plainText(func(s secret) string {
		return "12:30:01 INFO login user=bob " + s.name + "=" + s.value + " ip=10.0.0.1"
	})})
	add(carrier{name: "log_colon", kinds: []kind{named}, build: plainText(func(s secret) string { return "login failed, " + s.name + ": " + s.value + ", ip: 10.0.0.1" })})
	add(carrier{name: "yaml_pair", kinds: []kind{named}, build: plainText(func(s secret) string { return "env:\n- name: " + s.name + "\n  value: " + s.value + "\n" })})
	for _, form := range []struct{ name, text, without string }{
		{"aligned", "user      = \"bob\"\n%n     = \"%v\"", `"\`},
		{"yaml_block", "app:\n  %n: |\n    %v\n  user: bob\n", "\n"},
		{"xml_pair", "<key>%n</key>\n<string>%v</string>", "<"},
		{"xml_named", `<entry key="%n">%v</entry>`, "<"},
		{"html_references", "{&quot;%n&quot;: &quot;%v&quot;}", `"\` + "\n\t"},
	} {
		add(carrier{name: form.name, kinds: []kind{named}, build: func(s secret) (any, bool) {
			filled := strings.NewReplacer("%n", s.name, "%v", s.value).Replace(form.text)
			return object{"message": filled}, !strings.ContainsAny(s.value, form.without)
		}})
	}
	add(carrier{name: "log_quoted", kinds: []kind{named}, build: func(s secret) (any, bool) {
		return object{"message": "login user=bob " + s.name + "=" + quoteJSON(s.value) + " ip=10.0.0.1"}, true
	}})
	add(carrier{name: "python_repr", kinds: []kind{named}, build: func(s secret) (any, bool) {
		return object{"message": "{'user': 'bob', '" + s.name + "': '" + s.value + "', 'x': None}"}, !strings.ContainsAny(s.value, "'\\\n\t")
	}})
	add(carrier{name: "traceback", kinds: []kind{named}, build: func(s secret) (any, bool) {
		return object{"exception": []any{object{"exc_type": "ValueError", "exc_value": "refused", "frames": []any{object{"line": "login(user, " + s.name + "='" + s.value + "')"}}}}}, !strings.ContainsAny(s.value, "'\\\n\t") && !strings.ContainsAny(s.name, "- ")
	}})
	add(carrier{name: "env_dump", kinds: []kind{named}, build: plainText(func(s secret) string { return "HOME=/root\n" + s.name + "=" + s.value + "\nPATH=/bin" })})
	add(carrier{name: "yaml", kinds: []kind{named}, build: plainText(func(s secret) string { return "db:\n  user: bob\n  " + s.name + ": " + s.value + "\n  port: 5432\n" })})
	add(carrier{name: "json_escapes", kinds: []kind{named}, build: func(s secret) (any, bool) {
		return object{"message": "raw: " + strings.Trim(quoteJSON(quoteJSON(object{s.name: s.value})), `"`) + " end"}, true
	}})
	add(carrier{name: "header_line", kinds: []kind{header}, build: text(func(s secret) string { return "GET / HTTP/1.1\r\n" + s.name + ": " + s.value + "\r\nAccept: */*" })})
	add(carrier{name: "curl", kinds: []kind{header}, build: func(s secret) (any, bool) {
		return object{"cmd": "curl -H '" + s.name + ": " + s.value + "' https://h.example/"}, !strings.Contains(s.value, "'")
	}})
	add(carrier{name: "text", kinds: texts, build: text(func(s secret) string { return "it was " + s.value + " then" })})
	add(carrier{name: "own_line", kinds: texts, build: text(func(s secret) string { return "first line\n" + s.value + "\nlast line" })})
	add(carrier{name: "in_quotes", kinds: []kind{shaped}, build: text(func(s secret) string { return `x = "` + s.value + `";` })})
	add(carrier{name: "markdown", kinds: []kind{shaped}, build: text(func(s secret) string { return "use `" + s.value + "` there" })})
	add(carrier{name: "html", kinds: []kind{shaped}, build: text(func(s secret) string { return "<p>here: <b>" + s.value + "</b></p>" })})

	// Base64.
	encoded := func(of func(secret) string) func(secret) []string {
		return func(s secret) []string {
			all := base64.StdEncoding.EncodeToString([]byte(of(s)))
			if middle := len(all) / 2; middle > 8 {
				return []string{all[middle-6 : middle+6]}
			}
			return nil
		}
	}
	asJSON := func(s secret) string { return quoteJSON(leaf(s)) }
	add(carrier{name: "base64_json", kinds: all, encoded: encoded(asJSON), build: func(s secret) (any, bool) {
		return object{"data": base64.StdEncoding.EncodeToString([]byte(asJSON(s)))}, true
	}})
	add(carrier{name: "base64url_json", kinds: all, encoded: encoded(asJSON), build: func(s secret) (any, bool) {
		return object{"data": base64.RawURLEncoding.EncodeToString([]byte(asJSON(s)))}, true
	}})
	asText := func(s secret) string { return "this is it: " + s.value }
	add(carrier{name: "base64_text", kinds: texts, encoded: encoded(asText), build: text(func(s secret) string {
		return "data:text/plain;base64," + base64.StdEncoding.EncodeToString([]byte(asText(s))) + " end"
	})})
	return list
}

func hex(c byte) string {
	const hexDigits = "0123456789abcdef"
	return string([]byte{hexDigits[c>>4], hexDigits[c&15]})
}

// escapeNames writes the first letter of each name in context as \uXXXX.
func escapeNames(event []byte) []byte {
	at := bytes.Index(event, []byte(`"at":{"`))
	if at < 0 || event[at+len(`"at":{"`)] >= 0x80 || event[at+len(`"at":{"`)] == '\\' {
		return event
	}
	at += len(`"at":{"`)
	return slices.Concat(event[:at], []byte(`\u00`+hex(event[at])), event[at+1:])
}

// repeatMember puts a harmless member of the same name before the one in context.
func repeatMember(event []byte) []byte {
	const before = `"at":{`
	at := bytes.Index(event, []byte(before))
	if at < 0 {
		return event
	}
	at += len(before)
	end := at + bytes.Index(event[at:], []byte(`":`))
	return slices.Concat(event[:at], event[at:end], []byte(`":null,`), event[at:])
}
