package generate

import (
	"strconv"
	"strings"
)

// Sizes of the organisation. They are part of what a seed means: changing one
// changes every event.
const (
	peopleCount = 160
	adminCount  = 12 // the first of the people
	onCallCount = 6  // the first of the administrators
	robotCount  = 4  // the last of the people: service accounts
	objectCount = 96

	firstPersonPK = 7 // after authentik's own
)

// organisation is everything that stays while events come and go. It is made
// once, from the seed; only the state of people and objects changes after that.
type organisation struct {
	people       []*person
	applications []application
	popularity   []int // running sums of how often each application is used
	objects      []object
	kinds        []objectKind
	attackers    []place
	brands       []brand
	releases     int // of the software that the organisation runs, announced so far
}

// person is someone, or a service account, who causes events.
type person struct {
	pk        int
	username  string
	name      string
	email     string
	json      string // members of the event's user object
	admin     bool
	onCall    bool // never logs out, so that an administrator is always there
	robot     bool
	home      place
	office    place
	brand     *brand
	favourite [4]int // indexes of applications

	online        bool
	at            place   // where the session was opened; set while online
	impersonating *person // nil when acting as themselves
}

// place is where a request comes from.
type place struct {
	ip      string
	network *network
	agent   string
}

// network is a block of documentation addresses (RFC 5737, RFC 3849) with what
// a geo database would say about it, in documentation AS numbers (RFC 5398).
type network struct {
	address string // the address without its last part
	first   int    // lowest last part of an IPv4 address; a block holds 126
	v6      bool
	json    string // the context's asn and geo members, empty where unknown
}

type application struct {
	name, slug string
	json       string // model reference
	scopes     string
}

// object is a configured thing that people create, change and delete.
type object struct {
	name string
	kind *objectKind
	pk   string // JSON: a number or a string of 32 hexadecimal digits
}

type objectKind struct {
	app, model, path string
	numbered         bool // pk is a number
}

type brand struct{ json string }

func newOrganisation(r *random) *organisation {
	org := &organisation{brands: []brand{
		{modelReference(hexPK(r), "authentik_brands", "Default brand", "brand")},
		{modelReference(hexPK(r), "authentik_brands", "Brand partners.example.org", "brand")},
	}}
	org.addApplications(r)
	org.addPeople(r)
	org.kinds = objectKinds()
	for range objectCount {
		org.objects = append(org.objects, newObject(r, org.kinds))
	}
	return org
}

// nextVersion is the version after the one announced last, each of them once:
// twelve patches to a release, six releases to a year.
func (org *organisation) nextVersion() string {
	n := org.releases
	org.releases++
	const patches, months = 12, 6
	return strconv.Itoa(2026+n/patches/months) + "." + strconv.Itoa(2+2*(n/patches%months)) + "." + strconv.Itoa(n%patches)
}

// addApplications gives the applications Zipf's popularity: the n-th is used
// 1/n as often as the first.
func (org *organisation) addApplications(r *random) {
	names := []string{
		"GitLab", "Grafana", "Nextcloud", "Mattermost", "Jenkins", "Outline", "Harbor", "Argo CD",
		"Zammad", "Paperless", "NetBox", "Vaultwarden", "BookStack", "Alertmanager", "Kibana", "Proxmox",
		"Immich", "Miniflux", "Portainer", "Sentry", "Superset", "Wiki.js", "Zulip", "Guacamole",
	}
	sum := 0
	for i, name := range names {
		scopes := "openid email profile"
		if i%4 == 3 {
			scopes = "ak_proxy profile openid email"
		}
		org.applications = append(org.applications, application{
			name:   name,
			slug:   strings.NewReplacer(" ", "-", ".", "-").Replace(strings.ToLower(name)),
			json:   modelReference(hexPK(r), "authentik_core", name, "application"),
			scopes: scopes,
		})
		sum += 1000 / (i + 1)
		org.popularity = append(org.popularity, sum)
	}
}

func (org *organisation) addPeople(r *random) {
	networks, agents := networks(), userAgents()
	residential, office, hosting := networks[:len(networks)-3], networks[len(networks)-3], networks[len(networks)-2:]
	first, last := givenNames(), familyNames()
	offset := r.below(len(first) * len(last))
	for i := range peopleCount {
		// A stride coprime to the number of pairs meets no pair of names twice.
		pair := (offset + i*67) % (len(first) * len(last))
		p := &person{pk: firstPersonPK + i, admin: i < adminCount, onCall: i < onCallCount, robot: i >= peopleCount-robotCount}
		p.name = first[pair%len(first)] + " " + last[pair/len(first)]
		p.username = strings.ToLower(asciiName(p.name[:1]) + asciiName(last[pair/len(first)]) + strconv.Itoa(i))
		p.email = p.username + "@example.org"
		p.home = newPlace(r, pick(r, residential), pick(r, agents))
		p.office = newPlace(r, office, p.home.agent)
		p.brand = &org.brands[0]
		switch {
		case p.robot:
			p.username = "ak-outpost-" + strconv.Itoa(i)
			p.name, p.email = "Outpost "+strconv.Itoa(i)+" Service-Account", ""
			p.home.agent, p.office.agent = "goauthentik.io/outpost/2026.2.1", "goauthentik.io/outpost/2026.2.1"
		case i%8 == 7:
			p.brand = &org.brands[1]
			p.email = p.username + "@partners.example.org"
		}
		p.json = userMembers(p.pk, p.email, p.username)
		for f := range p.favourite {
			p.favourite[f] = r.weighted(org.popularity)
		}
		p.at = p.home
		p.online = p.onCall || r.oneIn(3) // sessions that were opened before the first event
		org.people = append(org.people, p)
	}
	for range 6 {
		org.attackers = append(org.attackers, newPlace(r, pick(r, hosting), "python-requests/2.32.3"))
	}
}

func newPlace(r *random, n *network, agent string) place {
	const hosts = 126 // in half of a /24
	last := strconv.Itoa(n.first + r.below(hosts))
	if n.v6 {
		last = strconv.FormatInt(int64(r.between(1, 0xffff)), 16) + ":" + strconv.FormatInt(int64(r.between(1, 0xffff)), 16)
	}
	return place{ip: n.address + last, network: n, agent: agent}
}

func newObject(r *random, kinds []objectKind) object {
	o := object{kind: &kinds[r.below(len(kinds))]}
	words := []string{
		"billing", "build", "crm", "docs", "edge", "finance", "intranet", "lab",
		"mail", "mobile", "reports", "sales", "staging", "support", "vpn", "warehouse",
	}
	o.name = pick(r, words) + "-" + pick(r, words)
	o.pk = `"` + hexPK(r) + `"`
	if o.kind.numbered {
		o.pk = strconv.Itoa(r.between(200, 9999))
	}
	return o
}

// path is where the API has the object.
func (o *object) path() string {
	return o.kind.path + strings.Trim(o.pk, `"`) + "/"
}

// userMembers is how authentik names a user in an event.
func userMembers(pk int, email, username string) string {
	return `"pk":` + strconv.Itoa(pk) + `,"email":"` + email + `","username":"` + username + `"`
}

// modelReference is how authentik names any other object in an event.
func modelReference(pk, app, name, model string) string {
	return `{"pk":"` + pk + `","app":"` + app + `","name":` + string(appendString(nil, name)) + `,"model_name":"` + model + `"}`
}

func hexPK(r *random) string {
	return string(appendHex(appendHex(nil, r.next()), r.next()))
}
