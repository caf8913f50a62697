package generate

// carrier is one way in which a secret stands in an event. A new way is one
// more function in the table below.
type carrier struct {
	name  string
	fits  func(d *draft) bool // nil: any event has a place for it
	plant func(p *planter, d *draft, name string)
}

// carriers are places where a key, or a query parameter's name, says that the value
// is secret, and texts that say it themselves.
func carriers() []carrier {
	return append([]carrier{
		{"leaf", nil, plantLeaf},
		{"query", hasRequest, plantQuery},
		{"nested", nil, plantNested},
		{"list", nil, plantList},
		{"container", nil, plantContainer},
		{"args", hasRequest, plantArgs},
		{"number", nil, plantNumber},
		{"escaped_key", nil, plantEscapedKey},
		{"escaped_value", nil, plantEscapedValue},
	}, textCarriers()...)
}

// Carriers lists the names of the ways in which secrets are planted.
func Carriers() []string {
	table := carriers()
	names := make([]string, 0, len(table))
	for _, c := range table {
		names = append(names, c.name)
	}
	return names
}

func hasRequest(d *draft) bool { return !d.action.background }

// plantLeaf is the plain case: "password":"…" where the action has prompt data,
// some other secret key elsewhere.
func plantLeaf(p *planter, d *draft, name string) {
	key := "password"
	switch d.step.kind {
	case loginFailed, passwordSet, userWrite:
	default:
		key = pick(&p.random, []string{
			"password", "passphrase", "api_key", "client_secret", "access_token",
			"authorization", "session_cookie", "request_signature",
		})
	}
	value := p.value("")
	d.planted.str(key, value)
	d.holds(name, "/context/"+key, value, value)
}

// plantQuery is the flow executor's query string, which stands in one argument.
func plantQuery(p *planter, d *draft, name string) {
	key := pick(&p.random, []string{"token", "password", "api_key"})
	value := p.value(pick(&p.random, []string{"", " +/&=%é", "?a=b&c#d", "==", `"\`}))
	encoded := percentEncode(value)
	before := pick(&p.random, []string{"", "lang=de&"})
	after := pick(&p.random, []string{"", "&next=%2F", "&theme=dark"})
	d.args = append(d.args[:0], `{"query":`...)
	d.args = append(appendString(d.args, before+key+"="+encoded+after), '}')
	d.holds(name, "/context/http_request/args/query", value, encoded)
}

// plantArgs is a query parameter that has been parsed.
func plantArgs(p *planter, d *draft, name string) {
	value := p.value("")
	d.args = append(d.args[:0], `{"token":`...)
	d.args = append(appendString(d.args, value), `,"page":"1"}`...)
	d.holds(name, "/context/http_request/args/token", value, value)
}

// plantNested is a secret key some levels down, in an object or in a list of them.
func plantNested(p *planter, d *draft, name string) {
	value := p.value("")
	if p.random.oneIn(2) {
		d.planted.object("attributes")
		d.planted.object("settings")
		d.planted.str("locale", "en")
		d.planted.str("api_token", value)
		d.planted.end()
		d.planted.end()
		d.holds(name, "/context/attributes/settings/api_token", value, value)
		return
	}
	d.planted.list("devices")
	d.planted.buf = append(d.planted.buf, `{"name":"first","confirmed":true},{"name":"second"`...)
	d.planted.str("shared_secret", value)
	d.planted.end()
	d.planted.endList()
	d.holds(name, "/context/devices/1/shared_secret", value, value)
}

// plantList is a list of secrets under one key.
func plantList(p *planter, d *draft, name string) {
	key := pick(&p.random, []string{"tokens", "api_keys"})
	first, second := p.value(""), p.value("")
	d.planted.list(key)
	d.planted.element(first)
	d.planted.element(second)
	d.planted.endList()
	d.holds(name, "/context/"+key+"/0", first, first)
	d.holds(name, "/context/"+key+"/1", second, second)
}

// plantContainer has the secret key one or two levels above the value, whose own
// key is harmless.
func plantContainer(p *planter, d *draft, name string) {
	value := p.value("")
	key := "credentials_secret"
	ownToken := d.step.kind == secretRotate || d.step.kind == suspiciousRequest
	if p.random.oneIn(2) && !ownToken {
		key = "token"
	}
	d.planted.object(key)
	pointer := "/context/" + key
	deep := p.random.oneIn(3)
	if deep {
		d.planted.object("current")
		pointer += "/current"
	}
	d.planted.str("value", value)
	d.planted.end()
	if deep {
		d.planted.end()
	}
	d.holds(name, pointer+"/value", value, value)
}

// plantNumber is a secret that is not a string.
func plantNumber(p *planter, d *draft, name string) {
	value := p.numeric()
	d.planted.raw("token_pin", value)
	d.holds(name, "/context/token_pin", value, value)
}

// plantEscapedKey has a key that says password only after its escapes are undone.
func plantEscapedKey(p *planter, d *draft, name string) {
	value := p.value("")
	d.planted.str(pick(&p.random, []string{`pass\u0077ord`, `\u0070assword`, `p\u0061\u0073sword`}), value)
	d.holds(name, "/context/password", value, value)
}

// plantEscapedValue has escapes in the value, by necessity or by an encoder's
// choice.
func plantEscapedValue(p *planter, d *draft, name string) {
	value := p.value(`-"q\b/é`)
	encoded := appendASCII(nil, value)
	if p.random.oneIn(2) { // the same with as few escapes as possible
		encoded = appendString(encoded[:0], value)
		encoded = encoded[1 : len(encoded)-1]
	}
	d.planted.raw("password", `"`+string(encoded)+`"`)
	d.holds(name, "/context/password", value, string(encoded))
}
