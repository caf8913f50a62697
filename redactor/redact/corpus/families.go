package corpus

import (
	"encoding/base64"
	"math/rand/v2"
	"strings"

	"sluice/redactor/redact/credential"
	"sluice/redactor/redact/credential/sample"
)

// kind is by what a secret can be told.
type kind uint8

const (
	// named secrets are told by the name over them or before them.
	named kind = iota
	// shaped ones by their shape, in any text.
	shaped
	// phrased ones by the text around them, which belongs to the secret.
	phrased
	// header ones stand behind an authentication scheme.
	header
)

// secret is one credential.
type secret struct {
	name  string // of the member, parameter or header
	value string // all of what stands there
	// core is the part of it that no encoding changes and that tells a leak.
	core string
	more []string
}

type family struct {
	name    string
	kind    kind
	secrets []secret
}

const (
	digits = "0123456789"
	lower  = "abcdefghijklmnopqrstuvwxyz"
	alnum  = digits + lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

func families(r *rand.Rand) []family {
	all := []family{
		{"password", named, named2(r, passwordNames, passwordValue)},
		{"password_nasty", named, nasty(r)},
		{"one_time_code", named, named2(r, strings.Fields("otp otp_code totp pin_code mfa_code verification_code recovery_code backup_code cvv sms_code"), func(r *rand.Rand) string { return "9" + sample.Chars(r, 7, digits) })},
		{"token", named, named2(r, tokenNames, tokenValue)},
		{"api_key", named, named2(r, keyNames, tokenValue)},
		{"cookie", named, named2(r, strings.Fields("Cookie session_cookie sessionid session_id JSESSIONID PHPSESSID connect.sid csrftoken X-CSRF-Token"), tokenValue)},
		{"signature", named, named2(r, strings.Fields("signature X-Hub-Signature-256 X-Amz-Signature request_signature"), func(r *rand.Rand) string { return sample.Chars(r, 40, "0123456789abcdef") })},
		{"authorization", header, authorizations(r)},
		{"url_userinfo", phrased, connectionURLs(r)},
		{"connection_string", phrased, connectionStrings(r)},
		{"oauth_saml", phrased, exchanges(r)},
		{"command_line", phrased, commands(r)},
		{"sql", phrased, statements(r)},
		{"markup", phrased, markups(r)},
		{"cookie_header", phrased, cookieHeaders(r)},
		{"log_phrase", phrased, phrases(r)},
	}
	for _, format := range credential.Formats() {
		f := family{name: format.Name, kind: shaped}
		for _, value := range sample.Of(r, format) {
			f.secrets = append(f.secrets, secret{name: "x", value: value, core: coreOf(format.Name, value)})
		}
		all = append(all, f)
	}
	return all
}

// coreOf is the longest part of a made-up credential without punctuation.
func coreOf(format, value string) string {
	core := ""
	for part := range strings.FieldsFuncSeq(value, func(c rune) bool { return !strings.ContainsRune(alnum, c) }) {
		if format == "private_key" && strings.ContainsAny(part, "-") {
			continue
		}
		if len(part) > len(core) && part != "IncomingWebhook" && !strings.Contains(part, "authlabs") {
			core = part
		}
	}
	return core
}

var (
	passwordNames = strings.Fields(`password Password new_password oldPassword user-password PASSWORD passwd
	passphrase pass userpass db_pass dbPwd mysql_pwd newpass
		passwort contraseña password_confirm passwordConfirmation keystore.password pa\u200dssword p\u0430ssword`)
	tokenNames = strings.Fields(`token access_token accessToken refresh-token id_token auth_token X-Auth-Token
	api_token bearer_token csrfmiddlewaretoken flow_token sessionToken
		client_secret clientSecret CLIENT_SECRET webhook_secret secret shared_secret jwt GITHUB_PAT secret_id`)
	keyNames = strings.Fields(`api_key apiKey API_KEY APIKey X-Api-Key apikey access_key private_key
	secret_access_key signing_key encryption_key account_key master_key license_key
		subscription-key app_key psk`)
)

func passwordValue(r *rand.Rand) string {
	return "Zq" + sample.Chars(r, 8, lower) + sample.Chars(r, 2, digits)
}
func tokenValue(r *rand.Rand) string { return "Zt" + sample.Chars(r, 30, alnum) }

// named2 makes a secret under each of the names.
func named2(r *rand.Rand, names []string, value func(*rand.Rand) string) []secret {
	out := make([]secret, 0, len(names))
	for _, name := range names {
		name = strings.NewReplacer(`\u200d`, "\u200d", `\u0430`, "\u0430").Replace(name)
		v := value(r)
		out = append(out, secret{name: name, value: v, core: v})
	}
	return out
}

// nasty makes passwords with all the signs in them that mean something somewhere.
func nasty(r *rand.Rand) []secret {
	var out []secret
	for _, form := range []string{"%s&x=1", "%s=1=2", "a,%s,b", "%s;c", "100%%%s", "%s#top", "p@%s:w", "(%s)", "{%s}", "<%s>", "%s/../x", "ü%sß", "%s|x", "$%s!", "~%s^"} {
		core := "Zn" + sample.Chars(r, 10, lower)
		out = append(out, secret{name: "password", value: strings.ReplaceAll(strings.ReplaceAll(form, "%s", core), "%%", "%"), core: core})
	}
	for _, form := range []string{"two %s words", `quote"%s`, "it's %s", `back\%s`, "line\n%s", "tab\t%s"} {
		core := "Zw" + sample.Chars(r, 10, lower)
		out = append(out, secret{name: "password", value: strings.ReplaceAll(form, "%s", core), core: core})
	}
	return out
}

func authorizations(r *rand.Rand) []secret {
	var out []secret
	for _, name := range []string{"Authorization", "authorization", "Proxy-Authorization"} {
		token := tokenValue(r)
		user := base64.StdEncoding.EncodeToString([]byte("bob:" + passwordValue(r)))
		for _, value := range []string{"Bearer " + token, "Token " + token, "Basic " + user, "Negotiate " + token + token, token, "ApiKey " + token} {
			core := value[strings.LastIndexByte(value, ' ')+1:]
			out = append(out, secret{name: name, value: value, core: strings.TrimRight(core, "=")})
		}
	}
	core := sample.Chars(r, 32, "0123456789abcdef")
	out = append(out,
		secret{name: "Authorization", value: `Digest username="bob", realm="x", nonce="1", uri="/", response="` + core + `"`, core: core},
		secret{name: "Authorization", value: "AWS4-HMAC-SHA256 Credential=bob/20260101/eu/s3/aws4_request, SignedHeaders=host, Signature=" + core + core, core: core + core})
	return out
}

// connectionURLs have the password in the place of a URL's user.
func connectionURLs(r *rand.Rand) []secret {
	var out []secret
	for form := range strings.FieldsSeq(`postgres://bob:%s@db.example:5432/app mysql://bob:%s@db.example/app
	mongodb+srv://bob:%s@c.example/app?retryWrites=true redis://:%s@cache.example:6379/0
		amqp://bob:%s@mq.example:5672/v nats://bob:%s@n.example:4222 clickhouse://bob:%s@ch.example:9000/x
		https://bob:%s@git.example/x.git ftp://bob:%s@f.example/ smtp://bob:%s@m.example:587
		ldap://cn=bob:%s@l.example:389 jdbc:postgresql://bob:%s@db.example/app
		sqlserver://sa:%s@db.example:1433?database=x`) {
		core := passwordValue(r)
		out = append(out, secret{value: strings.ReplaceAll(form, "%s", core), core: core})
	}
	for form := range strings.FieldsSeq(`postgres://bob:%s%40x@db.example/app https://bob:p%2F%s@git.example/x bob:%s@tcp(db.example:3306)/app`) {
		core := passwordValue(r)
		out = append(out, secret{value: strings.ReplaceAll(form, "%s", core), core: core})
	}
	token := tokenValue(r)
	return append(out, secret{value: "https://" + token + "@git.example/x.git", core: token})
}

func fill(r *rand.Rand, value func(*rand.Rand) string, forms ...string) []secret {
	out := make([]secret, 0, len(forms))
	for _, form := range forms {
		core := value(r)
		out = append(out, secret{value: strings.NewReplacer("%s", core, "%p", "%s").Replace(form), core: core})
	}
	return out
}

func connectionStrings(r *rand.Rand) []secret {
	return fill(r, passwordValue,
		"Server=db.example;Database=app;User Id=sa;Password=%s;Encrypt=true", "Data Source=db;User ID=bob;Pwd=%s", "host=db.example port=5432 user=bob password=%s dbname=app sslmode=require",
		"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=%s==;EndpointSuffix=core.windows.net", "Endpoint=sb://x.example/;SharedAccessKeyName=Root;SharedAccessKey=%s=",
		"jdbc:sqlserver://db.example:1433;user=sa;password=%s;encrypt=true", "jdbc:mysql://db.example/app?user=bob&password=%s&useSSL=true", "Driver={ODBC 18};Server=db;Uid=bob;Pwd=%s;",
		"mongodb://db.example/?authMechanism=PLAIN&password=%s", "InstrumentationKey=00000000-0000-0000-0000-000000000000;ApiKey=%s")
}

func exchanges(r *rand.Rand) []secret {
	return fill(r, tokenValue,
		"/callback?code=%s&state=xyz1", "/callback?state=%s&code=abc1def2", "grant_type=authorization_code&code=%s&redirect_uri=https%3A%2F%2Fapp.example%2F", "/login?SAMLResponse=%s&RelayState=x",
		"SAMLResponse=%s&x=1", "/x?SAMLart=%s", "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=%s", "client_assertion=%s&client_id=app", "/token?code_verifier=%s&client_id=app",
		"https://app.example/#access_token=%s&token_type=bearer&expires_in=3600", "https://app.example/cb#id_token=%s&state=1", "/x?ticket=%s", "/o/authorize?client_id=app&nonce=%s&response_type=code",
		"/p?next=%2Fcb%3Fcode%3D%s%26state%3Dabc1", "https://s3.example/b/o?X-Amz-Date=20260101T000000Z&X-Amz-Signature=%s", "https://x.blob.example/c?sv=2024&sig=%s%3D")
}

func commands(r *rand.Rand) []secret {
	return fill(r, passwordValue,
		"tool --password %s --host db", "tool --password=%s --host db", "tool --api-key '%s' run", `tool --client-secret "%s" run`, "mysql -u root -p%s app", "mysqldump --password=%s app",
		"curl -u bob:%s https://h.example/", "curl --user bob:%s https://h.example/", `curl -H "X-Api-Key: %s" https://h.example/`, "sshpass -p %s ssh host", "sshpass -p '%s' ssh host",
		"PGPASSWORD=%s psql -h db", "export DB_PASSWORD=%s", "docker login -u bob -p %s registry.example", "redis-cli -a %s ping", "ldapsearch -x -w %s -b dc=x", "helm upgrade x --set db.password=%s",
		"openssl enc -k x -passwd %s", "wget --http-password=%s https://h.example/", "set DB_PASS=%s", "$env:API_TOKEN = '%s'", "tool -Dkeystore.password=%s run")
}

func statements(r *rand.Rand) []secret {
	return fill(r, passwordValue,
		"ALTER USER bob WITH PASSWORD '%s'", "ALTER ROLE bob PASSWORD '%s' VALID UNTIL 'infinity'", "CREATE USER bob IDENTIFIED BY '%s'", "CREATE USER 'bob'@'%' IDENTIFIED WITH sha256_password BY '%s'",
		"SET PASSWORD FOR bob = PASSWORD('%s')", "UPDATE users SET password = '%s' WHERE id = 7", "UPDATE t SET api_token='%s', x=1", "SELECT a FROM t WHERE password='%s'",
		"INSERT INTO users (name, password, age) VALUES ('bob', '%s', 42)", `INSERT INTO "auth_user" ("password", "email") VALUES ('%s', 'bob@x.example') RETURNING "id"`,
		"INSERT INTO `t` (`id`, `api_key`) VALUES (1, NULL), (2, '%s')", "[SQL: INSERT INTO users (name, password) VALUES (?, ?)]\n[parameters: ('bob', '%s')]",
		`(0.001) UPDATE "auth_user" SET "password" = %p WHERE "id" = %p; args=('%s', 5)`, "SELECT 1 FROM t WHERE token = $1 AND id = $2, parameters: $1 = '%s', $2 = '7'",
		"CREATE USER bob IDENTIFIED BY %s", "variable \"db_password\" {\n  type = string\n  default = \"%s\"\n}", "db.example:5432:app:bob:%s")
}

func markups(r *rand.Rand) []secret {
	return fill(r, passwordValue,
		"<user>bob</user><password>%s</password>", "<wsse:Username>bob</wsse:Username><wsse:Password Type=\"x#PasswordText\">%s</wsse:Password>", `<add key="ApiKey" value="%s"/>`,
		`<input type="hidden" name="csrf_token" value="%s">`, "<apiKey><![CDATA[%s]]></apiKey>", "<config><clientSecret>\n  %s\n</clientSecret></config>", `<property name="password" value="%s"/>`,
		`<a href="https://app.example/if/flow/x/?flow_token=%s">reset</a>`, "<p>Your one-time password is: <b>%s</b></p>")
}

func cookieHeaders(r *rand.Rand) []secret {
	return fill(r, tokenValue,
		"Cookie: authentik_session=%s", "Cookie: a=1; sessionid=%s; b=2", "Set-Cookie: authentik_session=%s; Path=/; HttpOnly; Secure", `curl -H 'Cookie: sid=%s' https://h.example/`,
		"> Cookie: csrftoken=%s\r\n> Accept: */*", "{'Cookie': 'session=%s'}", "cookie=\"sid=%s\"")
}

func phrases(r *rand.Rand) []secret {
	return fill(r, passwordValue,
		"login of bob with password=%s failed", "password: %s", "Password: %s, user: bob", "{'user': 'bob', 'password': '%s'}", `{"user": "bob", "password": "%s"`,
		"User(name='bob', password='%s', age=3)", "{Name:bob Password:%s Age:3}", "#<User name: \"bob\", password: \"%s\">", "{:user=>\"bob\", :password=>\"%s\"}", "DB_PASSWORD=%s", "db.password: %s",
		"password -> bob\npassword = %s\nx = 1", "self.password = '%s'", "os.environ[\"API_TOKEN\"] = \"%s\"", "API key: %s", "Access token: %s", "your password is %s now", "token=%s; expires=3600",
		"PASSWORD := \"%s\"", "  password: \"%s\"\n  user: bob", "got [password=%s]", "(api_key=%s)", "secret=%s,region=eu", "X-Api-Key: %s\r\nAccept: */*", "params={password=%s, user=bob}",
		"Traceback (most recent call last):\n  File \"/app/x.py\", line 12, in login\n    connect(host, password='%s')\nValueError: refused")
}
