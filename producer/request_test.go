package producer_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"sluice/producer"
	"sluice/schemas"
)

func TestClientIP(t *testing.T) {
	for name, tc := range map[string]struct {
		trusted   []string
		remote    string
		forwarded []string
		want      string
	}{
		"no proxy":                {nil, "203.0.113.7:1234", nil, "203.0.113.7"},
		"nobody is trusted":       {nil, "203.0.113.7:1234", []string{"198.51.100.1"}, "203.0.113.7"},
		"a stranger forwards":     {[]string{"10.0.0.0/8"}, "203.0.113.7:1234", []string{"198.51.100.1"}, "203.0.113.7"},
		"a proxy forwards":        {[]string{"10.0.0.0/8"}, "10.1.2.3:1234", []string{"198.51.100.1"}, "198.51.100.1"},
		"a forged beginning":      {[]string{"10.0.0.0/8"}, "10.1.2.3:1234", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"},
		"two proxies":             {[]string{"10.0.0.0/8", "192.0.2.1"}, "10.1.2.3:1234", []string{"1.1.1.1, 198.51.100.1", "192.0.2.1"}, "198.51.100.1"},
		"proxies alone":           {[]string{"10.0.0.0/8"}, "10.1.2.3:1234", []string{"10.9.9.9"}, "10.9.9.9"},
		"no header":               {[]string{"10.0.0.0/8"}, "10.1.2.3:1234", nil, "10.1.2.3"},
		"nonsense":                {[]string{"10.0.0.0/8"}, "10.1.2.3:1234", []string{"198.51.100.1, unknown"}, "10.1.2.3"},
		"with ports":              {[]string{"10.0.0.0/8"}, "10.1.2.3:1234", []string{"198.51.100.1:80"}, "198.51.100.1"},
		"IPv6":                    {[]string{"fd00::/8"}, "[fd00::1]:1234", []string{"[2001:db8::1]:80"}, "2001:db8::1"},
		"IPv4 as IPv6":            {[]string{"10.0.0.0/8"}, "[::ffff:10.1.2.3]:1234", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		"a zone":                  {nil, "[fe80::1%eth0]:1234", nil, "fe80::1"},
		"a socket of the machine": {nil, "@", []string{"198.51.100.1"}, "invalid IP"},
	} {
		t.Run(name, func(t *testing.T) {
			proxies, err := producer.TrustProxies(tc.trusted...)
			if err != nil {
				t.Fatal(err)
			}
			r := &http.Request{RemoteAddr: tc.remote, Header: http.Header{}}
			for _, f := range tc.forwarded {
				r.Header.Add("X-Forwarded-For", f)
			}
			if got := proxies.ClientIP(r).String(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
	if _, err := producer.TrustProxies("10.0.0.0/8", "proxy.example.com"); err == nil {
		t.Error("a name is no address")
	}
}

func TestRequest(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/login?next=%2F&tag=a&tag=b", nil)
	r.RemoteAddr = "203.0.113.7:1234"
	r.Header.Set("User-Agent", "curl/8")
	r.Header.Set("X-Request-Id", "abc")
	ev := producer.LoginFailed(producer.LoginFailedContext{Username: "ann"}, producer.Request(r))
	want := `{"http_request":{"path":"/login","method":"POST","args":{"next":"/","tag":["a","b"]},"user_agent":"curl/8","request_id":"abc"},"username":"ann"}`
	if string(ev.Context) != want || ev.ClientIP != netip.MustParseAddr("203.0.113.7") {
		t.Errorf("got  %s %s\nwant %s", ev.Context, ev.ClientIP, want)
	}
}

// Whatever a client sends, there is an event of it.
func TestRequestIsBounded(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/"+strings.Repeat("%ff%c3", 100_000)+"?"+strings.Repeat("a=%ff&b=b&"+strings.Repeat("c", 5000)+"=1&", 1000), nil)
	r.Header.Set("User-Agent", strings.Repeat("é", 500_000))
	r.Header.Set("X-Request-Id", strings.Repeat("\xff", 500_000))
	ev := producer.Login(producer.LoginContext{}, producer.Request(r))
	e, err := producer.NewEncoder("acme")
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Event(ev)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.JSON()) > schemas.MaxRawBytes/2 {
		t.Errorf("%d bytes", len(m.JSON()))
	}
}
