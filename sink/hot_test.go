package sink

import "testing"

func TestHotPaths(t *testing.T) {
	for _, tc := range []struct {
		name, context string
		column        int
		want          string
	}{
		{"path", `{"http_request":{"path":"/a","method":"GET"}}`, hotPath, "/a"},
		{"method", `{"http_request":{"path":"/a","method":"GET"}}`, hotMethod, "GET"},
		{"user agent", `{"http_request":{"user_agent":"x"}}`, hotUserAgent, "x"},
		{"request id", `{ "http_request" : {"request_id" : "r"} }`, hotRequestID, "r"},
		{"auth method", `{"auth_method":"password"}`, hotAuthMethod, "password"},
		{"message with escapes", `{"message":"a\n\u00e9","http_request":{"path":"\/"}}`, hotMessage, "a\né"},
		{"second with escapes", `{"message":"a\n\u00e9","http_request":{"path":"\/"}}`, hotPath, "/"},
		{"username", `{"username":"akadmin"}`, hotTriedUsername, "akadmin"},
		{"model", `{"model":{"pk":9007199254740993,"app":"a","model_name":"n"}}`, hotModelPK, "9007199254740993"},
		{"model name, not name", `{"model":{"name":"x","model_name":"n"}}`, hotModelName, "n"},
		{"application", `{"authorized_application":{"pk":"p","name":"Grafana"}}`, hotApplicationName, "Grafana"},
		{"country", `{"geo":{"country":"DE","city":"Berlin"}}`, hotCountry, "DE"},
		{"operator", `{"asn":{"asn":1,"as_org":"O"}}`, hotASOrg, "O"},
		{"version", `{"new_version":"2026.2.0"}`, hotNewVersion, "2026.2.0"},
		{"last of two", `{"message":"a","message":"b"}`, hotMessage, "b"},
		{"last of two is null", `{"message":"a","message":null}`, hotMessage, ""},
		{"last of two objects", `{"geo":{"city":"a"},"geo":{"country":"b"}}`, hotCity, ""},
		{"last is no object", `{"geo":{"city":"a"},"geo":1}`, hotCity, ""},
		{"an escaped name", `{"mess\u0061ge":"a"}`, hotMessage, "a"},
		{"an object", `{"message":{"a":1}}`, hotMessage, ""},
		{"deeper", `{"x":{"message":"a"}}`, hotMessage, ""},
		{"true", `{"message":true}`, hotMessage, "true"},
	} {
		r := mustRow(t, message(`{"x":1,"context":`+tc.context+`}`))
		if got := string(r.hotText(tc.column)); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestHotASN(t *testing.T) {
	for context, want := range map[string]uint32{
		`{"asn":{"asn":6805}}`: 6805, `{"asn":{"asn":"6805"}}`: 6805, `{"asn":{"asn":4294967295}}`: 4294967295,
		`{"asn":{"asn":4294967296}}`: 0, `{"asn":{"asn":-1}}`: 0, `{"asn":{"asn":1.5}}`: 0, `{"asn":6805}`: 0, `{}`: 0,
	} {
		r := mustRow(t, message(`{"context":`+context+`}`))
		if got := r.asn(); got != want {
			t.Errorf("%s: got %d, want %d", context, got, want)
		}
	}
}
