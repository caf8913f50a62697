package producer

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Proxies are whose word about a client's address is taken. The zero value trusts
// nobody. It is safe for concurrent use.
type Proxies struct{ trusted []netip.Prefix }

// TrustProxies returns the proxies of those networks ("10.0.0.0/8") and addresses
// ("192.0.2.7").
func TrustProxies(networks ...string) (Proxies, error) {
	var p Proxies
	for _, network := range networks {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			addr, e := netip.ParseAddr(network)
			if e != nil {
				return Proxies{}, fmt.Errorf("trust proxies: %q is no network such as 10.0.0.0/8 and no address", network)
			}
			prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		}
		p.trusted = append(p.trusted, prefix.Masked())
	}
	return p, nil
}

// Request adds to an event what is known of the HTTP request that caused it:
// http_request with path, method, args (the query), user_agent and request_id
// (X-Request-Id), and the client's address. Long texts are cut, so that no client
// can make an event too large to be stored.
func (p Proxies) Request(r *http.Request) Option {
	return func(d *draft) {
		d.context["http_request"] = httpRequest{
			Path: cut(r.URL.Path), Method: cut(r.Method), Args: args(r.URL), UserAgent: cut(r.UserAgent()),
			RequestID: cut(r.Header.Get("X-Request-Id")),
		}
		d.event.ClientIP = p.ClientIP(r)
	}
}

// Request is Proxies.Request for a service that clients reach without a proxy.
func Request(r *http.Request) Option { return Proxies{}.Request(r) }

// ClientIP returns the address of the client: of the nearest hop that is no
// trusted proxy, by X-Forwarded-For read from its end. What stands before that
// anybody may have written. It is invalid where it cannot be told.
func (p Proxies) ClientIP(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // a Unix socket, or a test
	}
	client := peer.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && p.trusts(client); i-- {
		hop, ok := parseHop(strings.TrimSpace(hops[i]))
		if !ok {
			break // the last that is known
		}
		client = hop
	}
	return client
}

func (p Proxies) trusts(addr netip.Addr) bool {
	for _, prefix := range p.trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// parseHop reads an address, which some proxies write with its port.
func parseHop(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone(""), true
}

// httpRequest is authentik's form.
type httpRequest struct {
	Path      string         `json:"path"`
	Method    string         `json:"method"`
	Args      map[string]any `json:"args"`
	UserAgent string         `json:"user_agent"`
	RequestID string         `json:"request_id,omitempty"`
}

// What is kept of a request: longer is no address that people use, and a client
// chooses it.
const (
	maxTextBytes = 2 << 10
	maxArgs      = 64
)

// args are the query's, a list where a name comes more than once.
func args(u *url.URL) map[string]any {
	out, left := map[string]any{}, maxArgs
	for name, values := range u.Query() {
		if left -= len(values); left < 0 {
			out["…"] = "more than 64 are left out"
			break
		}
		for i := range values {
			values[i] = cut(values[i])
		}
		if out[cut(name)] = values; len(values) == 1 {
			out[cut(name)] = values[0]
		}
	}
	return out
}

// cut bounds a text and makes it valid UTF-8.
func cut(text string) string {
	if len(text) > maxTextBytes {
		end := maxTextBytes
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
