package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// query asks ClickHouse over its HTTP interface, as curl does.
func (s *system) query(sql string) (string, error) {
	return s.ask(http.MethodGet, sql)
}

// exec changes something, which ClickHouse allows by POST alone.
func (s *system) exec(sql string) {
	s.t.Helper()
	if _, err := s.ask(http.MethodPost, sql); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func (s *system) ask(method, sql string) (string, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+s.clickhouse+"/?query="+url.QueryEscape(sql), nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", resp.Status, body)
	}
	return strings.TrimSuffix(string(body), "\n"), nil
}

// must is query for a test that cannot go on without the answer.
func (s *system) must(sql string) string {
	s.t.Helper()
	answer, err := s.query(sql)
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

// untilAnswer waits for the answer that a query is to give.
func (s *system) untilAnswer(sql, want string) {
	s.t.Helper()
	s.until(fmt.Sprintf("%s gives %s", sql, want), func() error {
		got, err := s.query(sql)
		if err == nil && got != want {
			err = fmt.Errorf("got %s", got)
		}
		return err
	})
}

// untilRows waits until the table holds that many events that have not expired,
// and holds that each is there once.
func (s *system) untilRows(want int) {
	s.t.Helper()
	n := strconv.Itoa(want)
	s.untilAnswer("SELECT uniqExact(pk) FROM sluice.events WHERE expires > now()", n)
	if got := s.must("SELECT count() FROM sluice.events WHERE expires > now()"); got != n {
		s.t.Errorf("got %s rows for %d events", got, want)
	}
}

func TestClickHouseClients(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	publish(s, `{"action":"login","context":{"http_request":{"path":"/x/"}}}`)
	s.untilRows(1)
	if got := s.must("SELECT action, count() FROM sluice.events GROUP BY 1"); got != "login\t1" {
		t.Errorf("over HTTP: got %q", got)
	}
	options, err := clickhouse.ParseDSN("http://" + s.clickhouse + "/sluice")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.Ping(t.Context()); err != nil {
		t.Fatalf("ping: %v", err)
	}
	var action, path string
	if err := conn.QueryRow(t.Context(), "SELECT action, ctx.http_request.path::String FROM events WHERE tenant = $1", "default").Scan(&action, &path); err != nil {
		t.Fatal(err)
	}
	if action != "login" || path != "/x/" {
		t.Errorf("with clickhouse-go: got %q, %q", action, path)
	}
}
