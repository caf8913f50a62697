package redact

import (
	"encoding/json"
	"strings"
	"testing"

	"sluice/schemas"
)

// TestText has a text on the left with the secrets in it marked «so», and the
// rules that find them. Each is tried as a member's value; what is not marked must
// stay.
func TestText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, rules string }{
		// Query strings, fragments, forms.
		{`next=%2F&token=«abc»&x=1`, "query"},
		{`/p?to%6ben=«abc%26def»&x=1`, "query"},
		{`/p?to%25256ben=«abc»`, "query"},
		{`/a?next=%2Fapp%3Ftoken%3D«abc»%26x%3D1&y=2`, "query"},
		{`/a?next=%252Fa%253Ftoken%253D«abc»%2526x`, "query"},
		{`/a?next=%25252Fa%25253Ftoken%25253D«abc»`, "query"},
		{`https://h/p?token=«abc»&x=1#top`, "query"},
		{`/x?user=a&pwd=«hunter»&lang=de`, "query"},
		{`/x?pwd=/home/me&a=1`, ""},
		{`/x?code=US&a=1`, ""},
		{`https://h/#access_token=«abc»&expires=5`, "query"},
		{`see https://h/p?token=«a,b;c», then go on`, "query"},
		{`(https://h/p?a=b&token=«abc»)`, "query"},
		{`username=bob&password=«p,w;x»&x=y`, "query"},
		{`password=«pw»&username=bob`, "assignment"},
		{`/callback?code=«Ab3dE6gH»&state=«xyzw1»`, "oauth"},
		{`/x?code=404&status=open`, ""},
		{`/x?state=open&country_code=de`, ""},
		{`/api/token=«abc/x»`, "assignment"},
		{`/p?note=api_token%3A%20«abc123»&y=2`, "assignment"},
		{`/p?note=api_token%3A%20%27«abc123»%27&y=2`, "assignment"},
		{`user=bob&note=api_token%3A«+abc123»&y=2`, "query"},
		{`/p?note=token:«abc123»&y=2`, "query"},
		// Assignments in logs, code, configuration.
		{`password=«hunter2»`, "assignment"},
		{`db: connect host=db password=«a,b» user=x`, "assignment"},
		{`Server=db;User Id=sa;Password=«p;w»;Encrypt=true`, "assignment"},
		{`{'password': '«hunter2»', 'token': None}`, "assignment"},
		{`login(user='bob', password='«it\'s»')`, "assignment"},
		{`{:password=>"«x y»"}`, "assignment"},
		{`API key: «abc123»`, "assignment"},
		{`password: «swordfish» from 10.0.0.1`, "assignment"},
		{`os.environ["DB_PASSWORD"] = "«x»"`, "assignment"},
		{`{Password:«hunter2» User:bob}`, "assignment"},
		{`export GITHUB_TOKEN=«abc»`, "assignment"},
		{`Invalid token: expired`, ""},
		{`Password: must be at least 8 characters`, ""},
		{`(using password: YES)`, ""},
		{`token = request.GET.get("token")`, ""},
		{`authenticate(username=username, password=password)`, ""},
		{`if password == other:`, ""},
		{`token=[REDACTED] secret=<hidden> password=***`, ""},
		{`password is «hunter2», ok`, "assignment"},
		{`password is too short`, ""},
		{`password: «old1x» -> «new2y»`, "assignment"},
		{`api_key="«old1x»" => "«new2y»"`, "assignment"},
		{`password：«hunter2»`, "assignment"},
		{`密码＝«hunter2»，用户：bob`, "assignment"},
		{`export TOKEN=$(cat /run/token) && x`, ""},
		{`-H "Authorization: Bearer $(gcloud auth print-access-token)"`, ""},
		{`password: ${{ secrets.DB_PASSWORD }}`, ""},
		{`password=${DB1_PASSWORD}`, ""},
		{`api_key="<YOUR_API_KEY>"`, ""},
		{`SUMO_ACCESS_KEY={SumoAccessKey}`, ""},
		{`password={«hunter»}`, "container"},
		{`administrator_password = var.db_password`, ""},
		{`tokens: 512 in, 128 out`, ""},
		{`/browse?ticket=OPS-123`, ""},
		{`Maven: io.jsonwebtoken:jjwt-jackson:0.11.2`, ""},
		{"Content-Disposition: form-data; name=\"password\"\r\n\r\n«hunter2 x»\r\n--b", "assignment"},
		{`{'secret': {«'a': 1»}}`, "container"},
		// Headers and schemes.
		{`Authorization: Bearer «abc.def»`, "header"},
		{`curl -H "Authorization: Bearer «abc»" https://h/`, "header"},
		{`{'Authorization': 'Token «abc»'}`, "header"},
		{`Authorization: «abc123»`, "header"},
		{`Cookie: a=«b»; c=«d»`, "header"},
		{`Set-Cookie: sid=«b»; Path=/; HttpOnly`, "header"},
		{`sent Bearer «abcDEF123» to h`, "scheme"},
		{`Bearer token missing`, ""},
		{`Basic authentication failed`, ""},
		{`sent Basic «dXNlcjpwYXNz»`, "scheme"},
		// URLs.
		{`postgres://u:«p»@h:5432/db`, "userinfo"},
		{`redis://:«p»@h`, "userinfo"},
		{`https://u:«p/w»@h/x`, "userinfo"},
		{`https://h:8080/x@y`, ""},
		{`ssh://git@h/x`, ""},
		{`u:«p»@tcp(h:3306)/db`, "userinfo"},
		// Commands, SQL, markup.
		{`tool --password «x1» --db y`, "argument"},
		{`tool --password=«x1»`, "assignment"},
		{`tool --password`, ""},
		{`use the --password flag`, ""},
		{`mysql -u root -p«x» db`, "argument"},
		{`curl -u bob:«x» https://h`, "argument"},
		{`curl --user "{bob}":"«{x1}»" https://h`, "argument"},
		{`curl -u <user:password> https://h/endpoint`, ""},
		{`docker run -u 1000:1000 x`, ""},
		{`ALTER USER x WITH PASSWORD '«a b»'`, "sql"},
		{`CREATE USER x IDENTIFIED BY '«a»'`, "sql"},
		{`<user>x</user><password>«y»</password>`, "markup"},
		{`<wsse:Password Type="t">«y»</wsse:Password>`, "markup"},
		{`<add key="ApiKey" value="«y»"/>`, "markup"},
		{`Your verification code is «123456».`, "one_time_code"},
		{`error code: 123456`, ""},
		// JSON in text.
		{`{"password":"«x»"}`, "key"},
		{`{"password":{"a":"«x»"},"n":1.50}`, "container"},
		{`"{\"password\":\"«x»\"}"`, "key"},
		{`body {"headers":[{"name":"Authorization","value":"«x»"}]} sent`, "pair"},
		{`cut off {"password":"«x`, "assignment"},
		{`{\"password\":\"«x y»\"}`, "key"},
		{`%7B%22password%22%3A%22«x»%22%7D`, "key"},
		// Nothing.
		{`User authenticated, status=ok code=404 at 15:33:42`, ""},
		{`Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)`, ""},
		{`dd8c847ae65f4bd8b8f9b4a22c087385`, ""},
	} {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			checkText(t, test.text, test.rules)
		})
	}
}

// checkText redacts a text as the value of a member. What is marked in it must be
// masked by the rule, and all else stay.
func checkText(t *testing.T, text, rule string) {
	t.Helper()
	plain := strings.NewReplacer("«", "", "»", "").Replace(text)
	event, err := json.Marshal(map[string]any{"x": plain})
	if err != nil {
		t.Fatal(err)
	}
	got := redact(t, string(event))
	var out map[string]string
	if err := json.Unmarshal(got.Clean, &out); err != nil {
		t.Fatal(err)
	}
	if want := masked(text); out["x"] != want {
		t.Errorf("got  %s\nwant %s", out["x"], want)
	}
	rules := map[string]bool{}
	for _, m := range got.Masked {
		rules[m.Rule] = true
	}
	if rule != "" && (!rules[rule] || len(rules) != 1) || rule == "" && len(rules) > 0 {
		t.Errorf("rules %v, want %q", rules, rule)
	}
}

// masked replaces what is marked in a text by the mask.
func masked(text string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "«")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		out.WriteString(schemas.Mask)
		_, text, _ = strings.Cut(rest, "»")
	}
}
