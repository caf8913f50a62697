package generate

import "strings"

// The names, networks and programs that an organisation is made of.

func givenNames() []string {
	return []string{
		"Aisha", "Bruno", "Chloé", "Dmitri", "Elif", "Fatou", "Grace", "Hiro", "Ines", "Jürgen", "Kofi", "Lena",
		"Mateo", "Nadia", "Oskar", "Priya", "Quentin", "Rosa", "Søren", "Tariq", "Ursula", "Vikram", "Wanda", "Zoë",
	}
}

func familyNames() []string {
	return []string{
		"Andersen", "Bauer", "Costa", "Dubois", "Eriksson", "Fischer", "García", "Haddad", "Ivanova", "Jansen",
		"Kowalski", "Lindqvist", "Moreau", "Nakamura", "Okafor", "Petrov", "Rossi", "Schröder", "Tanaka", "Weber",
	}
}

// asciiName takes the accents off the names above.
func asciiName(name string) string {
	return strings.NewReplacer("é", "e", "ü", "u", "ø", "o", "ë", "e", "í", "i", "ö", "o").Replace(name)
}

func userAgents() []string {
	return []string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
			"Version/26.1 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
	}
}

// networks lists the residential ones, then the office, then two of a hosting
// company from which attacks come. The geo database knows nothing of the first.
func networks() []*network {
	berlin := location{"Berlin", "DE", "EU", "52.52", "13.405"}
	return []*network{
		{address: "2001:db8:ffff::", v6: true},
		newNetwork("192.0.2.", "192.0.2.0/25", "64496", "Example Access GmbH", berlin),
		newNetwork("192.0.2.", "192.0.2.128/25", "64497", "Example Télécom", location{
			"Lyon", "FR", "EU", "45.764", "4.8357",
		}),
		newNetwork("198.51.100.", "198.51.100.0/25", "64498", "Example Broadband Ltd", location{
			"Leeds", "GB", "EU", "53.8008", "-1.5491",
		}),
		newNetwork("198.51.100.", "198.51.100.128/25", "64499", "Example Cable Inc.", location{
			"Portland", "US", "NA", "45.5152", "-122.6784",
		}),
		newNetwork("2001:db8:1::", "2001:db8:1::/48", "65536", "Example Fiber K.K.", location{
			"Osaka", "JP", "AS", "34.6937", "135.5023",
		}),
		newNetwork("2001:db8:2::", "2001:db8:2::/48", "65537", "Example Mobile S.A.", location{
			"São Paulo", "BR", "SA", "-23.5505", "-46.6333",
		}),
		newNetwork("203.0.113.", "203.0.113.0/25", "64500", "Example Organisation", berlin),
		newNetwork("203.0.113.", "203.0.113.128/25", "64510", "Example Hosting B.V.", location{
			"Amsterdam", "NL", "EU", "52.3676", "4.9041",
		}),
		newNetwork("2001:db8:bad::", "2001:db8:bad::/48", "64511", "Example Cloud Pte", location{
			"Singapore", "SG", "AS", "1.3521", "103.8198",
		}),
	}
}

type location struct{ city, country, continent, lat, long string }

func newNetwork(address, block, asn, holder string, at location) *network {
	first := 1
	if strings.HasSuffix(block, ".128/25") {
		first = 129
	}
	return &network{
		address: address,
		first:   first,
		v6:      strings.HasSuffix(address, ":"),
		json: `"asn":{"asn":` + asn + `,"as_org":"` + holder + `","network":"` + block + `"},` +
			`"geo":{"lat":` + at.lat + `,"city":"` + at.city + `","long":` + at.long +
			`,"country":"` + at.country + `","continent":"` + at.continent + `"}`,
	}
}

func objectKinds() []objectKind {
	return []objectKind{
		{"authentik_core", "application", "/api/v3/core/applications/", false},
		{"authentik_core", "group", "/api/v3/core/groups/", false},
		{"authentik_core", "user", "/api/v3/core/users/", true},
		{"authentik_providers_oauth2", "oauth2provider", "/api/v3/providers/oauth2/", true},
		{"authentik_providers_saml", "samlprovider", "/api/v3/providers/saml/", true},
		{"authentik_providers_proxy", "proxyprovider", "/api/v3/providers/proxy/", true},
		{"authentik_flows", "flow", "/api/v3/flows/instances/", false},
		{"authentik_policies_expression", "expressionpolicy", "/api/v3/policies/expression/", false},
		{"authentik_stages_prompt", "prompt", "/api/v3/stages/prompt/prompts/", false},
		{"authentik_outposts", "outpost", "/api/v3/outposts/instances/", false},
	}
}

// fault is one way in which the software breaks: what its events say about the
// exception is the same each time it happens.
type fault struct {
	message string
	json    string // the structured exception
}

// newFault makes the n-th fault. Deploys bring them in turn, each in a file
// whose lines have moved since the last time.
func newFault(r *random, n int) *fault {
	known := []struct{ class, value, file, function string }{
		{
			"OperationalError", `connection to server at "db.example.internal", port 5432 failed: Connection refused`,
			"authentik/core/api/users.py", "list",
		},
		{"KeyError", "'preferred_username'", "authentik/providers/oauth2/id_token.py", "from_provider"},
		{"TimeoutError", `timed out after 30 s waiting for outpost "ldap"`, "authentik/outposts/consumer.py", "event_update"},
		{"AttributeError", "'NoneType' object has no attribute 'pk'", "authentik/flows/views/executor.py", "dispatch"},
		{
			"IntegrityError", `duplicate value violates unique constraint "authentik_core_group_name_uniq"`,
			"authentik/core/models.py", "save",
		},
		{
			"ReadTimeout", "HTTPSConnectionPool(host='scim.example.org', port=443): Read timed out.",
			"authentik/providers/scim/clients/base.py", "_request",
		},
		{
			"UnicodeDecodeError", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
			"authentik/sources/ldap/sync/users.py", "sync",
		},
	}
	k := known[n%len(known)]
	var l line
	l.buf = append(l.buf, '{')
	l.str("exc_type", k.class)
	l.str("exc_value", k.value)
	l.members(`"exc_notes":[],"syntax_error":null,"is_cause":false,"is_group":false`)
	l.list("frames")
	writeFrame(&l, "/ak-root/.venv/lib/python3.13/site-packages/django/core/handlers/base.py", 197, "_get_response")
	writeFrame(&l, "/ak-root/.venv/lib/python3.13/site-packages/django/views/generic/base.py", 105, "view")
	writeFrame(&l, "/"+k.file, r.between(40, 400), k.function)
	l.endList()
	l.end()
	return &fault{message: k.value, json: string(l.buf)}
}

func writeFrame(l *line, file string, number int, function string) {
	l.separate()
	l.buf = append(l.buf, '{')
	l.str("filename", file)
	l.integer("lineno", number)
	l.str("name", function)
	l.members(`"line":"","locals":null`)
	l.end()
}
