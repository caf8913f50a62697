package authentik_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/producer/authentik"
	"sluice/producer/intake"
)

const token = "hunter2-token"

// installation is an authentik as its event API looks from outside: pages by
// number, ordered by created, the oldest events forgotten while they are read.
type installation struct {
	*httptest.Server
	mu       sync.Mutex
	events   []int // numbers, oldest first; also their seconds
	largest  int
	requests int
	fail     func(request int, w http.ResponseWriter) bool
	after    func(request int) // called with the lock held
}

var epoch = time.Date(2026, 8, 30, 0, 0, 0, 0, time.UTC)

func event(n int) map[string]any {
	created := epoch.Add(time.Duration(n) * time.Second)
	return map[string]any{
		"pk": fmt.Sprintf("00000000-0000-4000-8000-%012d", n+1), "user": map[string]any{"pk": 1, "username": "ann", "email": ""},
		"action": "login", "app": "authentik.events.signals", "context": map[string]any{"n": n}, "client_ip": "203.0.113.7",
		"created": created.Format(time.RFC3339Nano), "expires": created.AddDate(1, 0, 0).Format(time.RFC3339Nano), "brand": map[string]any{},
	}
}

func startInstallation(t *testing.T, n int) *installation {
	t.Helper()
	in := &installation{events: upTo(0, n), largest: 100}
	in.Server = httptest.NewServer(http.HandlerFunc(in.serve))
	t.Cleanup(in.Close)
	return in
}

func (in *installation) serve(w http.ResponseWriter, r *http.Request) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.requests++
	q := r.URL.Query()
	switch {
	case r.Header.Get("Authorization") != "Bearer "+token:
		w.WriteHeader(http.StatusForbidden)
		return
	case r.URL.Path != "/api/v3/events/events/" || q.Get("ordering") != "created":
		w.WriteHeader(http.StatusNotFound)
		return
	case in.fail != nil && in.fail(in.requests, w):
		return
	}
	page, _ := strconv.Atoi(q.Get("page"))
	size, _ := strconv.Atoi(q.Get("page_size"))
	size = min(size, in.largest)
	count := len(in.events)
	first, last := (page-1)*size, min(page*size, count)
	if first >= count && page > 1 {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"detail": "Invalid page."}`)
		return
	}
	results := []any{}
	for _, n := range in.events[first:last] {
		results = append(results, event(n))
	}
	next := 0
	if last < count {
		next = page + 1
	}
	_ = json.NewEncoder(w).Encode(map[string]any{ //nolint:errchkjson // strings, numbers and lists
		"pagination": map[string]any{
			"next": next, "previous": page - 1, "count": count, "current": page,
			"total_pages": (count + size - 1) / size, "start_index": first + 1, "end_index": last,
		},
		"results": results,
	})
	if in.after != nil {
		in.after(in.requests)
	}
}

func (in *installation) config(t *testing.T, c *collected) authentik.APIConfig {
	t.Helper()
	client, err := authentik.NewClient(in.URL, token, "")
	if err != nil {
		t.Fatal(err)
	}
	return authentik.APIConfig{Tenant: "acme", Client: client, Timeout: time.Minute, Report: &c.report}
}

func fetch(t *testing.T, in *installation, state string, change func(*authentik.APIConfig)) (*collected, error) {
	t.Helper()
	c := &collected{}
	cfg := in.config(t, c)
	if change != nil {
		change(&cfg)
	}
	book := openBook(t, state)
	reader, err := authentik.API(cfg, book)
	if err != nil {
		t.Fatal(err)
	}
	err = reader(t.Context(), func(it intake.Item) bool { c.take(it, book); return true })
	if e := book.Save(); e != nil {
		t.Fatal(e)
	}
	if err != nil && strings.Contains(err.Error(), token) || strings.Contains(c.report.String(), token) {
		t.Fatalf("the token is printed: %v, %s", err, &c.report)
	}
	return c, err
}

func TestAPIFetchesEachEventOnce(t *testing.T) {
	for _, n := range []int{0, 1, 99, 100, 101, 1234} {
		for _, largest := range []int{100, 33, 20} {
			in := startInstallation(t, n)
			in.largest = largest
			c, err := fetch(t, in, "", nil)
			if err != nil || !slices.Equal(numbers(t, c.events), upTo(0, n)) {
				t.Errorf("%d events in pages of %d: %v, got %d", n, largest, err, len(c.events))
			}
			if most := n*6/5/largest*2 + 4; in.requests > most {
				t.Errorf("%d events in pages of %d: %d requests, want at most %d", n, largest, in.requests, most)
			}
		}
	}
}

// TestAPIPassesNothingOver holds that no event is missed that is there from the
// beginning to the end, whatever is deleted and added meanwhile.
func TestAPIPassesNothingOver(t *testing.T) {
	const n, gone = 3000, 1500
	in := startInstallation(t, n)
	added := n
	in.after = func(request int) {
		in.events = slices.DeleteFunc(in.events, func(n int) bool { return n < min(130*request, gone) })
		in.events = append(in.events, added)
		added++
		if request == 5 { // somebody is forgotten
			in.events = slices.DeleteFunc(in.events, func(n int) bool { return n < 2000 && n%3 == 0 })
		}
	}
	c, err := fetch(t, in, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	got := numbers(t, c.events)
	for want := range n {
		if (want >= 2000 || want >= gone && want%3 != 0) && !slices.Contains(got, want) {
			t.Fatalf("event %d was passed over, of %d", want, len(got))
		}
	}
	if !slices.IsSorted(got) {
		t.Error("not the oldest first")
	}
}

func TestAPIResumes(t *testing.T) {
	in := startInstallation(t, 1000)
	state := filepath.Join(t.TempDir(), "state")
	if c, err := fetch(t, in, state, nil); err != nil || len(c.events) != 1000 {
		t.Fatal(len(c.events), err)
	}
	in.events = append(in.events[400:], upTo(1000, 1500)...)
	in.requests = 0
	c, err := fetch(t, in, state, nil)
	// The last event is 999; two minutes before it is 879.
	if got := numbers(t, c.events); err != nil || !slices.Equal(got, upTo(879, 1500)) {
		t.Errorf("%v: got %d events", err, len(got))
	}
	if in.requests > 16 {
		t.Errorf("%d requests for 621 events", in.requests)
	}
	in.events = nil
	if c, err := fetch(t, in, state, nil); err != nil || len(c.events) != 0 {
		t.Errorf("of an empty log: %d, %v", len(c.events), err)
	}
}

func TestAPIBetweenTwoTimes(t *testing.T) {
	in := startInstallation(t, 5000)
	c, err := fetch(t, in, "", func(cfg *authentik.APIConfig) {
		cfg.Since, cfg.Until = epoch.Add(3210*time.Second), epoch.Add(3456*time.Second)
	})
	if got := numbers(t, c.events); err != nil || !slices.Equal(got, upTo(3210, 3456)) {
		t.Errorf("%v: got %d", err, len(got))
	}
	if in.requests > 15 {
		t.Errorf("%d requests", in.requests)
	}
}

func TestAPITroubleThatPasses(t *testing.T) {
	in := startInstallation(t, 300)
	in.fail = func(request int, w http.ResponseWriter) bool {
		switch request {
		case 1:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		case 3:
			w.WriteHeader(http.StatusBadGateway)
		case 5, 6: // the client itself tries once more, on a new connection
			panic(http.ErrAbortHandler)
		default:
			return false
		}
		return true
	}
	c, err := fetch(t, in, "", nil)
	if err != nil || len(c.events) != 300 {
		t.Errorf("%d events, %v", len(c.events), err)
	}
	for _, want := range []string{"answers 429", "answers 502", "no answer"} {
		if !strings.Contains(c.report.String(), want) {
			t.Errorf("the report lacks %q: %s", want, &c.report)
		}
	}
}

func TestAPITroubleThatStays(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another host was asked, with the header %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	for name, tc := range map[string]struct {
		answer func(w http.ResponseWriter)
		says   string
	}{
		"refused": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) }, "refuses the token (401)"},
		"redirect": {func(w http.ResponseWriter) {
			w.Header().Set("Location", elsewhere.URL+"/?x=hunter2")
			w.WriteHeader(http.StatusFound)
		}, "redirects to " + elsewhere.URL + " (302)"},
		"no API":    {func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }, "there is no event API"},
		"a page":    {func(w http.ResponseWriter) { fmt.Fprint(w, "<html>hunter2</html>") }, "no page of events"},
		"bad event": {func(w http.ResponseWriter) { fmt.Fprint(w, `{"pagination":{"count":1},"results":[{"pk":"hunter2"}]}`) }, "no valid pk or created"},
		"down":      {func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }, "gave up after 100ms"},
	} {
		t.Run(name, func(t *testing.T) {
			in := startInstallation(t, 3)
			in.fail = func(_ int, w http.ResponseWriter) bool { tc.answer(w); return true }
			_, err := fetch(t, in, "", func(cfg *authentik.APIConfig) { cfg.Timeout = 100 * time.Millisecond })
			if err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
}

func TestAPIFollows(t *testing.T) {
	in := startInstallation(t, 250)
	c := &collected{}
	cfg := in.config(t, c)
	cfg.Follow, cfg.Every = true, 10*time.Millisecond
	book := openBook(t, "")
	reader, err := authentik.API(cfg, book)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	err = reader(ctx, func(it intake.Item) bool {
		c.take(it, book)
		switch len(c.events) {
		case 250:
			in.mu.Lock()
			in.events = append(in.events, 250, 251)
			in.mu.Unlock()
		default:
			if slices.Max(numbers(t, c.events[len(c.events)-1:])) == 251 {
				stop()
			}
		}
		return true
	})
	got := numbers(t, c.events)
	slices.Sort(got)
	if err != nil || !slices.Equal(slices.Compact(got), upTo(0, 252)) {
		t.Errorf("%v: got %d", err, len(got))
	}
}

func TestClientRefusesBadSettings(t *testing.T) {
	for _, tc := range [][3]string{
		{"ftp://x", token, "want a URL"},
		{"auth.example.com", token, "want a URL"},
		{"https://user:hunter2@x", token, "without user"},
		{"https://x?token=hunter2", token, "without user"},
		{"https://x", "", "empty"},
		{"https://x", "hunter2\nx", "line ends"},
		{":hunter2", token, "not a valid URL"},
	} {
		_, err := authentik.NewClient(tc[0], tc[1], "")
		if err == nil || !strings.Contains(err.Error(), tc[2]) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", tc[0], err, tc[2])
		}
	}
}
