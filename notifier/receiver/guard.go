package receiver

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// ProhibitedError is an address that a receiver must not be reached at.
type ProhibitedError struct {
	Addr netip.Addr
	why  string
}

// Error implements error.
func (e *ProhibitedError) Error() string {
	if !e.Addr.IsValid() {
		return "address refused: " + e.why
	}
	return "address " + e.Addr.String() + " refused: " + e.why
}

// never lists what no configuration can allow: link-local addresses, where
// clouds serve credentials to whoever asks from inside, the other addresses of
// metadata services, and what is no host at all.
var never = []netip.Prefix{
	netip.MustParsePrefix("169.254.0.0/16"),         // link-local; AWS, Azure, Google and most others
	netip.MustParsePrefix("fe80::/10"),              // link-local
	netip.MustParsePrefix("fec0::/10"),              // site-local, deprecated
	netip.MustParsePrefix("fd00:ec2::/32"),          // AWS: metadata ::254, DNS ::253, time ::123
	netip.MustParsePrefix("fd20:ce::254/128"),       // Google Cloud
	netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), // Oracle Cloud
	netip.MustParsePrefix("fd00:42::42/128"),        // Scaleway
	netip.MustParsePrefix("100.100.100.200/32"),     // Alibaba Cloud
	netip.MustParsePrefix("168.63.129.16/32"),       // Azure's host agent
	netip.MustParsePrefix("192.0.0.192/32"),         // Oracle Cloud, older
	netip.MustParsePrefix("0.0.0.0/8"),              // this network: Linux takes it for loopback
	netip.MustParsePrefix("::/128"),                 // the same
	netip.MustParsePrefix("224.0.0.0/4"),            // multicast
	netip.MustParsePrefix("ff00::/8"),               // multicast
	netip.MustParsePrefix("255.255.255.255/32"),     // broadcast
}

// nat64 are ranges whose addresses stand for the IPv4 address in their last 32
// bits: translated (RFC 6052, RFC 8215), and compatible (RFC 4291, deprecated).
var nat64 = []netip.Prefix{
	ssrf.IPv6NAT64Prefix,
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("::/96"),
}

// sixToFour has the IPv4 address after its first 16 bits (RFC 3056).
var sixToFour = netip.MustParsePrefix("2002::/16")

// embedded returns the IPv4 address that an IPv6 address stands for.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() || addr == netip.IPv6Loopback() {
		return netip.Addr{}, false
	}
	bytes := addr.As16()
	switch {
	case contains(nat64, addr):
		return netip.AddrFrom4([4]byte(bytes[12:])), true
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(bytes[2:6])), true
	}
	return netip.Addr{}, false
}

// guard decides which addresses a receiver may be reached at.
type guard struct {
	allow  []netip.Prefix
	public *ssrf.Guardian
	// onlyAllowed refuses public addresses too: for connections without TLS.
	onlyAllowed bool
}

func newGuard(allow []netip.Prefix, onlyAllowed bool) *guard {
	return &guard{allow: allow, public: ssrf.New(ssrf.WithAnyPort()), onlyAllowed: onlyAllowed}
}

// control is for net.Dialer: it sees the address of each attempt, after every
// look-up.
func (g *guard) control(network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return &ProhibitedError{why: "not a TCP connection"}
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &ProhibitedError{why: "not an address"}
	}
	return g.check(ap.Addr())
}

// check returns a *ProhibitedError for an address that must not be reached.
func (g *guard) check(addr netip.Addr) error {
	if addr.Zone() != "" {
		return &ProhibitedError{addr, "it is for one link only"}
	}
	addr = addr.Unmap()
	if contains(never, addr) {
		return &ProhibitedError{addr, "link-local, metadata and multicast addresses are never reached"}
	}
	allowed := contains(g.allow, addr)
	if inner, ok := embedded(addr); ok {
		if !allowed {
			return &ProhibitedError{addr, "it stands for an IPv4 address (allow the range if this host reaches IPv4 by NAT64)"}
		}
		return g.check(inner)
	}
	switch {
	case allowed:
		return nil
	case g.public.SafeAddr(addr) != nil:
		return &ProhibitedError{addr, "it is not public; list its range under allow if it is yours"}
	case g.onlyAllowed:
		return &ProhibitedError{addr, "without TLS only addresses listed under allow are reached"}
	}
	return nil
}

func contains(list []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// connectWait is how long one address may take to answer.
const connectWait = 5 * time.Second

func (g *guard) dialer(env Env) *net.Dialer {
	return &net.Dialer{Timeout: connectWait, Control: g.control, Resolver: env.Resolver}
}

// checkHost refuses in a definition what the guard would refuse at each attempt,
// and the spellings of addresses that only some programs understand: 2130706433,
// 0x7f.1, 0177.0.0.1. A name is for the guard.
func (g *guard) checkHost(host string) error {
	if host == "" {
		return errors.New("it names no host")
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return g.check(addr)
	}
	last := strings.TrimSuffix(host, ".")
	last = strings.ToLower(last[strings.LastIndexByte(last, '.')+1:])
	if last == "" || strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return errors.New("its host is a number that is no address: write 192.0.2.1 or [2001:db8::1], or a name")
	}
	return nil
}
