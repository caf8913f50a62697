package bridge

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"sluice/standalone/clickhouse/chdb"
)

func TestParseRequest(t *testing.T) {
	t.Parallel()
	asked := httptest.NewRequest(http.MethodPost, "/?query=SELECT+1&database=d&default_format=JSON&query_id=q&session_id=s&session_timeout=5&session_check=1"+
		"&compress=1&decompress=true&network_compression_method=zstd&wait_end_of_query=1&client_protocol_version=54460"+
		"&max_threads=1&max_threads=2&log_comment=x&param_b=2&param_a=1&async_insert=1&quota_key=k&&buffer_size=3", strings.NewReader(""))
	asked.Header.Set("Accept-Encoding", "gzip;q=0, zstd, deflate")
	got, err := parseRequest(asked)
	if err != nil {
		t.Fatal(err)
	}
	want := request{
		query: "SELECT 1", database: "d", defaultFormat: "JSON", queryID: "q", sessionID: "s", sessionTimeout: 5, sessionCheck: true,
		compress: true, decompress: true, frameMethod: "ZSTD", waitEndOfQuery: true, clientRevision: 54460, acceptEncoding: "deflate",
		settings: []setting{{"log_comment", "x"}, {"max_threads", "2"}, {"network_compression_method", "zstd"}},
		params:   []chdb.Parameter{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}},
		external: map[string]externalTable{},
	}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
}

func TestParseRequestRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, url string
		header    http.Header
		code      int
	}{
		{"no number", "/?client_protocol_version=x", nil, codeBadArguments},
		{"no URL encoding", "/?a=%zz", nil, codeBadArguments},
		{"session too long", "/?session_timeout=3601", nil, codeInvalidTimeout},
		{"other user", "/?user=alice", nil, codeAuthenticationFails},
		{"password", "/?password=x", nil, codeAuthenticationFails},
		{"other user in headers", "/", http.Header{"X-Clickhouse-User": {"alice"}}, codeAuthenticationFails},
		{"key in headers", "/", http.Header{"X-Clickhouse-Key": {"x"}}, codeAuthenticationFails},
		{"basic", "/", http.Header{"Authorization": {"Basic YWxpY2U6eA=="}}, codeAuthenticationFails},
		{"bearer", "/", http.Header{"Authorization": {"Bearer x"}}, codeAuthenticationFails},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			asked := httptest.NewRequest(http.MethodPost, test.url, http.NoBody)
			maps.Copy(asked.Header, test.header)
			_, err := parseRequest(asked)
			if raised, ok := errors.AsType[*chdb.Error](err); !ok || raised.Code != test.code {
				t.Errorf("got %v, want code %d", err, test.code)
			}
		})
	}
}

func TestParseRequestAdmits(t *testing.T) {
	t.Parallel()
	for _, header := range []http.Header{
		nil,
		{"X-Clickhouse-User": {"default"}},
		{"Authorization": {"Basic ZGVmYXVsdDo="}}, // default and no password
	} {
		asked := httptest.NewRequest(http.MethodGet, "/?user=default&password=", http.NoBody)
		maps.Copy(asked.Header, header)
		got, err := parseRequest(asked)
		if err != nil || !got.readOnly {
			t.Errorf("%v: read only %v, %v", header, got, err)
		}
	}
}

func TestParseRequestExternalTables(t *testing.T) {
	t.Parallel()
	asked := httptest.NewRequest(http.MethodPost, "/?ids_format=CSV&ids_structure=id+UInt8&date_time_input_format=basic", http.NoBody)
	asked.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	got, err := parseRequest(asked)
	if err != nil {
		t.Fatal(err)
	}
	// As in ClickHouse, settings that end like a table's parameters are taken for
	// those when the body has parts.
	want := map[string]externalTable{"ids": {format: "CSV", structure: "id UInt8"}, "date_time_input": {format: "basic"}}
	if !reflect.DeepEqual(got.external, want) {
		t.Errorf("got %+v, want %+v", got.external, want)
	}
}
