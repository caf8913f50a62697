package redact

import "testing"

// TestBeside has texts in which no sign stands between a name and its value, or one
// on another line, in another element or another member of a pair. They are marked
// as those of TestText.
func TestBeside(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, rule string }{
		{"machine h.example login bob password «Zq8Trough7xW2k»", "assignment"},
		{"password\t«Zq8Trough7xW2k»", "assignment"},
		{"| api_key | «Zq8Trough7xW2k» |", "assignment"},
		{"password -> «Zq8Trough7xW2k»", "assignment"},
		{"password was set to «Zq8Trough7xW2k»", "assignment"},
		{"changed password from '«old1x»' to '«new2y»'", "assignment"},
		{"API key («Zq8Trough7xW2k»)", "assignment"},
		{"setenv DB_PASSWORD «Zq8Trough7xW2k»", "assignment"},
		{"password=<«Zq8Trough7xW2k»>", "assignment"},
		{"password        = \"«rootpw»\"", "assignment"},
		{"{ [\"password\"] = \"«x1»\" }", "assignment"},
		{"[\"password\"]=> string(14) \"«x1»\"", "assignment"},
		{"password:\n«Zq8Trough7xW2k»\n", "assignment"},
		{"app:\n  password: |\n    «first line\n    second line»\n  user: bob", "assignment"},
		{"token: >-\n  «abc def»\n", "assignment"},
		{"- name: DB_PASSWORD\n  value: «swordfish»\n- name: TZ\n  value: UTC", "pair"},
		{"{'name': 'Cookie', 'value': '«x=1»'}", "pair"},
		{"[(b'x-api-key', b'«Zq8Trough7xW2k»'), (b'accept', b'*/*')]", "assignment"},
		{"Content-Disposition: form-data; name=password\r\n\r\n«x y»\r\n--b--", "assignment"},
		{"<property name=\"password\">«swordfish»</property>", "markup"},
		{"<key>password</key>\n<string>«swordfish»</string>", "markup"},
		{"<tr><td>Password</td><td>«sword-fish-7»</td></tr>", "markup"},
		{"{&quot;password&quot;: &quot;«x y»&quot;}", "key"},
		{"&lt;password&gt;«swordfish»&lt;/password&gt;", "markup"},
		{"?a=1&amp;token=«abc123»&amp;b=2", "query"},
		{"unzip -P «swordfish» a.zip", "argument"},
		{"curl -ubob:«swordfish» https://h", "argument"},
		{"curl --user=bob:«swordfish» https://h", "argument"},
		{"ConvertTo-SecureString '«swordfish»' -AsPlainText", "sql"},
		{"password is case-sensitive", ""},
		{"password was reset by akadmin", ""},
		{"password (PBKDF2-SHA256)", ""},
		{"token (OAuth2)", ""},
		{"| password | string | required |", ""},
		{"token was revoked by user42", ""},
		{"password:\n  min_length: 12", ""},
		{"secret:\n  name: db-credentials", ""},
		{"password:\nRequired field\n", ""},
		{"- name: password\n  required: true\n", ""},
		{"name: password, type: string, required: true", ""},
		{"<th>Password</th><th>Last login</th>", ""},
		{"<td>Password</td><td>Required</td>", ""},
		{"<label for=\"password\">Password</label>", ""},
		{"<option value=\"password\">Password</option><option value=\"token\">Token</option>", ""},
		{"Tom &amp; Jerry &lt;tom@example.com&gt; &quot;here&quot;", ""},
		{"WWW-Authenticate: Bearer realm=\"authentik\", error=\"invalid_token\"", ""},
		{"credentials: include", ""},
		{"passwordRef: db-password", ""},
		{"signature: v1", ""},
		{"docker run -p 8080:80 nginx", ""},
		{"ssh -p 2222 bob@host", ""},
		{"token, refresh, scope", ""},
		{"username,password,email", ""},
		{"password authentication failed for user \"bob\"", ""},
		{"secret santa 2026", ""},
		{"token 8f14e45f-ceea-467f-a8d5-dbb1f0a0a0a0", ""},
	} {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			checkText(t, test.text, test.rule)
		})
	}
}
