package clickhouse

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestForeignOriginIsRefused(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	for _, test := range []struct {
		site, host string
		want       int
	}{
		{"cross-site", "", 403},
		{"same-site", "", 403},
		{"same-origin", "", 200},
		{"none", "", 200},
		{"", "localhost", 200},
		{"", "LocalHost:8123", 200},
		{"", "[::1]:8123", 200},
		{"", "127.9.9.9", 200},
		{"", "rebound.example:8123", 403},
		{"same-origin", "rebound.example", 403},
		{"", "10.0.0.1", 403},
	} {
		request := newRequest(t, http.MethodGet, base+"/?query=SELECT+1", http.NoBody)
		request.Header.Set("Sec-Fetch-Site", test.site)
		if test.host != "" {
			request.Host = test.host
		}
		if got := do(t, request); got.status != test.want {
			t.Errorf("site %q, host %q: got %d, want %d", test.site, test.host, got.status, test.want)
		}
	}
}

func TestSession(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	in := []string{"session_id", "a session"}
	post(t, base, "SET max_threads = 5", in...)
	post(t, base, "CREATE TEMPORARY TABLE kept (a UInt8)", in...)
	post(t, base, "INSERT INTO kept VALUES (7)", in...)
	if got := post(t, base, "SELECT a, getSetting('max_threads') FROM kept", in...); got != "7\t5\n" {
		t.Errorf("in the session: %q", got)
	}
	if got := post(t, base, "SELECT getSetting('max_threads'), currentDatabase()", append(in, "max_threads", "6", "database", "system")...); got != "6\tsystem\n" {
		t.Errorf("with parameters: %q", got)
	}
	if got := post(t, base, "SELECT getSetting('max_threads'), currentDatabase()", in...); got != "5\tdefault\n" {
		t.Errorf("after parameters: %q", got)
	}
	if got := send(t, base, strings.NewReader("SELECT * FROM kept")); got.status != http.StatusNotFound {
		t.Errorf("outside the session: %d", got.status)
	}
	if got := send(t, base, strings.NewReader("SELECT 1"), "session_id", "another", "session_check", "1"); got.code() != "372" {
		t.Errorf("unknown session: code %q", got.code())
	}
}

func TestInParallel(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	post(t, base, "CREATE OR REPLACE TABLE in_parallel (a UInt64) ENGINE = MergeTree ORDER BY a")
	const writers, each = 16, 20
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			for i := range each {
				value := strconv.Itoa(writer*each + i)
				response, err := http.Post(base, "", strings.NewReader("INSERT INTO in_parallel VALUES ("+value+")"))
				if err != nil {
					t.Error(err)
					return
				}
				_ = response.Body.Close()
				got, err := http.Get(base + "/?query=SELECT+" + value + "&log_comment=" + value)
				if err != nil {
					t.Error(err)
					return
				}
				text, err := io.ReadAll(got.Body)
				_ = got.Body.Close()
				if string(text) != value+"\n" || err != nil {
					t.Errorf("got %q, %v, want %s", text, err, value)
				}
			}
		})
	}
	group.Wait()
	if got, want := post(t, base, "SELECT count(), uniqExact(a) FROM in_parallel"), fmt.Sprintf("%d\t%d\n", writers*each, writers*each); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestClientGoneCancels(t *testing.T) {
	t.Parallel()
	base := sharedURL(t)
	running := func() string {
		return post(t, base, "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'client gone'")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/?log_comment=client+gone",
		strings.NewReader("SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			err = response.Body.Close()
		}
		ended <- err
	}()
	eventually(t, "the query runs", func() bool { return running() == "1\n" })
	cancel()
	if err := <-ended; err == nil {
		t.Error("the request ended without an error")
	}
	eventually(t, "the query is cancelled", func() bool { return running() == "0\n" })
}
