package door_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/producer/door"
	"sluice/producer/internal/brokertest"
)

// raw writes a request byte by byte as it is told and returns the status, 0 for
// none: the door may close a connection whose rest it will not read.
func (o *opened) raw(write func(w io.Writer) error) int {
	conn, err := net.Dial("tcp", o.addr)
	if err != nil {
		o.t.Error(err)
		return -1
	}
	defer conn.Close()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_ = write(conn) // the door may have hung up
	}()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	_ = conn.Close()
	<-written
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func head(token string, headers ...string) string {
	return "POST /v1/events HTTP/1.1\r\nHost: door\r\nAuthorization: Bearer " + token + "\r\nContent-Type: application/json\r\n" +
		strings.Join(headers, "\r\n") + "\r\n\r\n"
}

// Everything that can be sent wrongly, on 64 connections at once, while eight
// good clients go on.
func TestHoldsAgainstBadInput(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	const most = 32 << 20
	o := open(t, b, func(c *door.Config) {
		c.ReadTimeout, c.MaxMemoryBytes = 2*time.Second, most
	})
	gzipBomb, zstdBomb := gzipped(strings.Repeat("\x00", 64<<20)), zstded(t, strings.Repeat("\x00", 64<<20))
	runtime.GC() // of what the bombs were made of
	mebibyte := fmt.Sprintf("%x\r\n%s\r\n", 1<<20, strings.Repeat("x", 1<<20))
	send := func(path, token, body string, headers ...string) func() int {
		return func() int { return o.send(path, token, body, headers...).status }
	}
	bad := []struct {
		name string
		want []int
		do   func() int
	}{
		{"truncated JSON", []int{400}, send("/v1/events", tokenAll, `{"action":"login","context":{"password":"hunter2"`)},
		{"truncated body", []int{0, 400}, func() int {
			return o.raw(func(w io.Writer) error {
				_, err := io.WriteString(w, head(tokenAll, "Content-Length: 500")+`{"action":"login"`)
				if c, ok := w.(*net.TCPConn); ok {
					_ = c.CloseWrite()
				}
				return err
			})
		}},
		{"oversized by its word", []int{413}, func() int {
			return o.raw(func(w io.Writer) error {
				_, err := io.WriteString(w, head(tokenAll, "Content-Length: 900000000000"))
				return err
			})
		}},
		// Whoever does not stop sending may lose the answer with the connection.
		{"oversized", []int{0, 413}, func() int {
			return o.raw(func(w io.Writer) error {
				_, err := io.WriteString(w, head(tokenAll, "Transfer-Encoding: chunked"))
				for range 64 {
					if err == nil {
						_, err = io.WriteString(w, mebibyte)
					}
				}
				return err
			})
		}},
		{"oversized headers", []int{431}, func() int {
			return o.raw(func(w io.Writer) error {
				_, err := io.WriteString(w, head(tokenAll, "X-Padding: "+strings.Repeat("x", 30<<10)))
				return err
			})
		}},
		{"wrong media type", []int{415}, send("/v1/events", tokenAll, `{"action":"login"}`, "Content-Type: text/html")},
		{"wrong field type", []int{422}, send("/v1/events", tokenAll, `{"action":"login","user":"hunter2"}`)},
		{"wrong tenant", []int{403}, send("/v1/tenants/other/events", tokenAll, `{"action":"login"}`)},
		{"wrong action", []int{403}, send("/v1/events", tokenLogins, `{"action":"secret_view"}`)},
		{"wrong token", []int{401}, send("/v1/events", "hunter2", `{"action":"login"}`)},
		{"gzip bomb", []int{413, 503}, send("/v1/events", tokenAll, gzipBomb, "Content-Encoding: gzip")},
		{"zstd bomb", []int{413, 503}, send("/v1/events", tokenAll, zstdBomb, "Content-Encoding: zstd")},
		{"deep", []int{422}, send("/v1/events", tokenAll, `{"action":"a","x":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}`)},
		{"slow body", []int{408}, func() int { return o.raw(slowly(head(tokenAll, "Content-Length: 500"))) }},
		{"slow headers", []int{0, 400, 408}, func() int { return o.raw(slowly("POST /v1/ev")) }},
		{"not HTTP", []int{400}, func() int {
			return o.raw(func(w io.Writer) error { _, err := io.WriteString(w, "\x16\x03\x01hunter2\r\n\r\n"); return err })
		}},
	}

	var peak, heap atomic.Int64
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { o.watch(done, &peak, &heap) })
	var senders, goodSenders sync.WaitGroup
	var good, refusals atomic.Int64
	stopGood := make(chan struct{})
	for range 8 {
		goodSenders.Go(func() {
			for {
				select {
				case <-stopGood:
					return
				default:
				}
				if a := o.send("/v1/events", tokenAll, `{"action":"login","context":{"good":true}}`); a.status == 202 {
					good.Add(1)
				} else if a.status != 503 { // too much in memory at the moment, with Retry-After
					t.Errorf("a good event got %d %s", a.status, a.text)
				}
			}
		})
	}
	for i := range 64 {
		kind := bad[i%len(bad)]
		senders.Go(func() {
			for range 3 {
				got := kind.do()
				refusals.Add(1)
				ok := false
				for _, want := range kind.want {
					ok = ok || got == want
				}
				if !ok {
					t.Errorf("%s: got %d, want %v", kind.name, got, kind.want)
				}
			}
		})
	}
	senders.Wait()
	close(stopGood)
	goodSenders.Wait()
	close(done)
	watching.Wait()
	if a := o.send("/v1/events", tokenAll, `{"action":"login","context":{"good":true}}`); a.status != 202 {
		t.Errorf("afterwards: %d %s", a.status, a.text)
	}
	messages := streamMsgs(t, stream)
	if want := int(good.Load()) + 1; messages != want || good.Load() == 0 {
		t.Errorf("the stream holds %d events, want the good ones: %d", messages, want)
	}
	if got := peak.Load(); got > most {
		t.Errorf("bodies took %d bytes of memory, at most %d are allowed", got, most)
	}
	if got := o.metric("producer_body_bytes"); got != 0 {
		t.Errorf("%v bytes are still counted", got)
	}
	t.Logf("%d refusals on 64 connections, %d good events stored; bodies took at most %d MiB, the heap of door, broker and clients %d MiB",
		refusals.Load(), messages, peak.Load()>>20, heap.Load()>>20)
}

// slowly sends what it is given, then a byte now and then.
func slowly(begin string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, begin)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for range 60 {
			if err != nil {
				return err
			}
			<-tick.C
			_, err = io.WriteString(w, " ")
		}
		return err
	}
}

// watch remembers the most that bodies, and all of the process, took.
func (o *opened) watch(done <-chan struct{}, peak, heap *atomic.Int64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		peak.Store(max(peak.Load(), int64(o.metric("producer_body_bytes"))))
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		heap.Store(max(heap.Load(), int64(stats.HeapInuse)))
		select {
		case <-done:
			return
		case <-tick.C:
		}
	}
}
