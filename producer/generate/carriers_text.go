package generate

// These carriers have the secret in the middle of a text, where no key of the event
// says that it is one: the text itself does.

// textCarriers are further rows of the table of carriers.
func textCarriers() []carrier {
	return []carrier{
		{"url", nil, plantURL},
		{"header", nil, plantHeader},
		{"traceback", nil, plantTraceback},
		{"command", nil, plantCommand},
		{"json_text", nil, plantJSONText},
	}
}

// plantURL is a connection string as the settings of a source have it.
func plantURL(p *planter, d *draft, name string) {
	value := p.value("")
	scheme := pick(&p.random, []string{"postgres", "ldaps", "amqp", "https"})
	d.planted.str("upstream", scheme+"://svc-sluice:"+value+"@db.example.internal/main?timeout=5")
	d.holds(name, "/context/upstream", value, value)
}

// plantHeader is one of a request's headers, as pairs of name and value.
func plantHeader(p *planter, d *draft, name string) {
	value := p.value("")
	d.planted.list("headers")
	d.planted.buf = append(d.planted.buf, `{"name":"Accept","value":"*/*"},{"name":"Authorization"`...)
	d.planted.str("value", "Bearer "+value)
	d.planted.end()
	d.planted.endList()
	d.holds(name, "/context/headers/1/value", value, value)
}

// plantTraceback is what an exception repeats of its arguments.
func plantTraceback(p *planter, d *draft, name string) {
	value := p.value("")
	d.planted.str("detail", "Traceback (most recent call last):\n  File \"/app/ldap.py\", line 112, in bind\n"+
		"    connect(host='ldap.example.internal', user='svc', password='"+value+"')\nTimeoutError: timed out")
	d.holds(name, "/context/detail", value, value)
}

// plantCommand is what a task started.
func plantCommand(p *planter, d *draft, name string) {
	value := p.value("")
	d.planted.str("started", "backup --host db.example.internal --password="+value+" --verbose")
	d.holds(name, "/context/started", value, value)
}

// plantJSONText is JSON in a string, as a webhook is kept.
func plantJSONText(p *planter, d *draft, name string) {
	value := p.value("")
	d.planted.str("payload", `{"user":"ann","client_secret":"`+value+`","attempt":1}`)
	d.holds(name, "/context/payload", value, value)
}
