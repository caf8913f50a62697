package receiver

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// never and unless allowed: every address that could lead inside, in every form
// that an address has.
func TestGuard(t *testing.T) {
	all := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	tests := []struct {
		addr string
		// allowed is whether an operator who allows everything reaches it.
		allowed bool
	}{
		// metadata services and link-local addresses
		{"169.254.169.254", false},
		{"169.254.170.2", false},
		{"169.254.0.1", false},
		{"::ffff:169.254.169.254", false},
		{"::ffff:a9fe:a9fe", false},
		{"64:ff9b::a9fe:a9fe", false},
		{"64:ff9b:1::a9fe:a9fe", false},
		{"::a9fe:a9fe", false},
		{"2002:a9fe:a9fe::1", false},
		{"fd00:ec2::254", false},
		{"fd00:ec2::23", false},
		{"fd20:ce::254", false},
		{"100.100.100.200", false},
		{"168.63.129.16", false},
		{"192.0.0.192", false},
		{"fe80::1", false},
		{"fe80::1%eth0", false},
		{"fe80::a9fe:a9fe%1", false},
		{"2001:4860:4860::8888%eth0", false},
		{"::1%lo", false},
		// no hosts
		{"0.0.0.0", false},
		{"0.1.2.3", false},
		{"::", false},
		{"::ffff:0.0.0.0", false},
		{"64:ff9b::", false},
		{"224.0.0.1", false},
		{"ff02::1", false},
		{"255.255.255.255", false},
		// private
		{"127.0.0.1", true},
		{"127.255.255.254", true},
		{"::1", true},
		{"::ffff:127.0.0.1", true},
		{"64:ff9b::7f00:1", true},
		{"64:ff9b::8.8.8.8", true},
		{"::127.0.0.1", true},
		{"10.0.0.1", true},
		{"::ffff:10.0.0.1", true},
		{"64:ff9b::10.0.0.1", true},
		{"172.16.0.1", true},
		{"172.31.255.255", true},
		{"192.168.1.1", true},
		{"100.64.0.1", true},
		{"198.18.0.1", true},
		{"192.0.2.1", true},
		{"198.51.100.1", true},
		{"203.0.113.1", true},
		{"240.0.0.1", true},
		{"fc00::1", true},
		{"fd12:3456::1", true},
		{"2001:db8::1", true},
		{"2002:7f00:1::", true},
		{"2001::1", true},
		{"100::1", true},
		{"3fff::1", true},
		{"4000::1", true},
	}
	for _, tt := range tests {
		addr := netip.MustParseAddr(tt.addr)
		address := net.JoinHostPort(addr.String(), "443")
		network := "tcp6"
		if addr.Is4() {
			network = "tcp4"
		}
		var prohibited *ProhibitedError
		if err := newGuard(nil, false).control(network, address, nil); !errors.As(err, &prohibited) {
			t.Errorf("%s: got %v, want it refused", tt.addr, err)
		}
		if err := newGuard(all, false).control(network, address, nil); (err == nil) != tt.allowed {
			t.Errorf("%s, all allowed: got %v", tt.addr, err)
		}
	}
	for _, addr := range []string{"8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"} {
		if err := newGuard(nil, false).check(netip.MustParseAddr(addr)); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
		if err := newGuard(nil, true).check(netip.MustParseAddr(addr)); err == nil {
			t.Errorf("%s is reached without TLS", addr)
		}
	}
	for _, bad := range []string{"", "127.0.0.1", "unix:443", "[::1"} {
		if err := newGuard(all, false).control("tcp4", bad, nil); err == nil {
			t.Errorf("%q is an address", bad)
		}
	}
	if err := newGuard(all, false).control("udp4", "8.8.8.8:53", nil); err == nil {
		t.Error("UDP is allowed")
	}
}

// What a URL can say instead of an address, at the definition and, should a
// resolver understand it, when it is dialled.
func TestHostsThatAreNumbers(t *testing.T) {
	hosts := []string{
		"2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1", "017700000001", "0xa9fea9fe", "2852039166",
		"169.254.169.254", "127.0.0.1", "[::1]", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "[fe80::1%25eth0]", "[64:ff9b::a9fe:a9fe]",
		"169.254.169.254.", "127.0.0.1.", "0", "0.0.0.0", "[::]", "%31%32%37.0.0.1", "10.0.0.1",
	}
	for _, host := range hosts {
		_, err := parse("type: webhook\nurl: 'https://" + host + "/'")
		var wrong *ParseError
		if !errors.As(err, &wrong) || wrong.Line != 4 || !strings.HasPrefix(wrong.Path, "receivers.oncall.url") {
			t.Errorf("%s: got %v", host, err)
		}
		// From a file or the environment it is seen when the receiver is opened.
		r, err := parse("type: slack\nurl_env: URL")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Open(testEnv(t, map[string]string{"URL": "https://" + host + "/T0KEN"})); err == nil {
			t.Errorf("%s: opened", host)
		} else if strings.Contains(err.Error(), "T0KEN") {
			t.Errorf("%s: the error shows the address", host)
		}
		// And by whatever else: the guard sees the address that is dialled.
		trimmed := strings.Trim(strings.ReplaceAll(host, "%25", "%"), "[]")
		ctx, cancel := context.WithCancel(t.Context())
		conn, err := newGuard(nil, false).dialer(testEnv(t, nil)).DialContext(ctx, "tcp", net.JoinHostPort(trimmed, "9"))
		cancel()
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s: connected", host)
		}
	}
}

// Names that lead inside, and a name that is public when it is looked up first and
// private when it is looked up again.
func TestRebinding(t *testing.T) {
	p := newPeer(t, nil)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(p.URL, "http://"))
	tests := []struct {
		name    string
		answers []string
		allow   string
		reached bool
	}{
		{"inside", []string{"127.0.0.1"}, "", false},
		{"metadata", []string{"169.254.169.254"}, "allow: [0.0.0.0/0]", false},
		{"rebound", []string{"192.0.2.1", "127.0.0.1"}, "allow: [192.0.2.0/24]", false},
		{"allowed", []string{"127.0.0.1"}, "allow: [127.0.0.0/8]", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := parse("type: webhook\nurl: https://hook.example.com:" + port + "/\n" + tt.allow)
			if err != nil {
				t.Fatal(err)
			}
			env := testEnv(t, nil)
			env.Resolver = &net.Resolver{PreferGo: true, Dial: nameServer(t, tt.answers)}
			guard := newGuard(nil, false)
			if tt.allow != "" {
				guard.allow = []netip.Prefix{netip.MustParsePrefix(strings.Trim(tt.allow[len("allow: "):], "[]"))}
			}
			for range len(tt.answers) - 1 { // a check that is made before the look-up that counts
				if addrs, err := env.Resolver.LookupNetIP(t.Context(), "ip4", "hook.example.com"); err != nil || guard.check(addrs[0]) != nil {
					t.Fatalf("the first look-up: %v %v", addrs, err)
				}
			}
			s, err := r.Open(env)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			err = send(t, s, notice(t, nil))
			var f *SendError
			switch {
			case !errors.As(err, &f):
				t.Fatalf("got %v", err) // the peer speaks no TLS
			case tt.reached && f.Verdict != Retry, !tt.reached && (f.Verdict != Refused || !strings.Contains(f.What, "refused:")):
				t.Errorf("got %v", err)
			}
		})
	}
	if len(p.got) > 0 {
		t.Errorf("the peer got %d requests", len(p.got))
	}
}

// nameServer answers questions for IPv4 addresses with each of the answers in
// turn, the last one over again.
func nameServer(t *testing.T, answers []string) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	var lc net.ListenConfig
	server, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		buf := make([]byte, 512)
		for asked := 0; ; {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			end := 12
			for buf[end] != 0 {
				end += int(buf[end]) + 1
			}
			end += 5                                       // the root, type and class
			reply := append([]byte(nil), buf[:end]...)     // header and question, without what comes after
			reply[2], reply[3] = 0x81, 0x80                // an answer
			copy(reply[6:], []byte{0, 0, 0, 0, 0, 0})      // no records yet
			if binary.BigEndian.Uint16(buf[end-4:]) == 1 { // A
				reply[7] = 1
				addr := netip.MustParseAddr(answers[min(asked, len(answers)-1)]).As4()
				reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
				reply = append(reply, addr[:]...)
				asked++
			}
			if _, err := server.WriteTo(reply, from); err != nil || n == 0 {
				return
			}
		}
	}()
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", server.LocalAddr().String())
	}
}
