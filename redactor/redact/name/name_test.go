package name

import (
	"bufio"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// The names below are separated by white space; a name with a space in it is
// written with a plus.
var classified = []struct {
	want  Class // of Secret and Perhaps
	names string
}{
	{Secret, `
		password passwords Password PASSWORD userPassword user_password old-password newPassword password2
		password_confirm passwordConfirmation password_hint
		password_history password_hash hashed_password password_value passwd new_passwd PGPASSWORD MYSQL_PWD
		user_pwd dbPwd pass user_pass db.pass smtpPass newpass oldpass
		userpass dbpass newpassword passwordconfirm password1 passphrase ssh_passphrase passcode user[password]
		credentials[0].token
		pin_code user_pin card_pin otp otp_code totp user_otp userOTP mfa_code 2fa_code two_factor_code
		verification_code recovery_codes backup_code security_code one_time_password
		one+time+code sms_code login_code device_code cvv security_answer
		secret client_secret clientSecret client-secret CLIENT_SECRET clientsecret secretKey secret_key
		aws_secret_access_key secret_id consumer_secret webhook_secret
		token tokens access_token accessToken access-token accesstoken refresh_token id_token idToken csrf_token
		csrfmiddlewaretoken csrftoken authenticity_token X-Auth-Token
		X-CSRF-Token auth_token authtoken bearer_token api_token session_token flow_token itoken token_value
		password_reset_token reset_password_token vault_token token1 oauth2Token
		api_key apiKey API_KEY APIKey ApiKey apikey X-Api-Key x-api-key api_keys API+key access_key private_key
		privateKey signing_key encryption_key master_key account_key license_key
		app_key application_key subscription_key shared_key psk preshared_key session_key GITHUB_PAT github_pat
		credential credentials user_credentials cookie cookies Cookie Set-Cookie HTTP_COOKIE session_cookie
		authorization Authorization Proxy-Authorization HTTP_AUTHORIZATION
		signature request_signature X-Amz-Signature X-Hub-Signature-256 jwt bearer session_id sessionid
		sessionId JSESSIONID PHPSESSID connect.sid csrf xsrf seed_phrase mnemonic totp_seed
		passwort kennwort contraseña contrasena motdepasse mot_de_passe senha wachtwoord haslo hasło lösenord
		пароль 密码 パスワード 비밀번호
		user_pw dbPw admin-pw one_time_pw pswrd passwrd user_passwrd SONAR_LOGIN sonar.login _gitlab_session laravel_session
		BUNDLE_GEMS__CONTRIBSYS__COM
		p@ssword passw0rd pa55word t0ken s3cret pa$$word
		keystore_password keyStorePassword unlock_key admin_secret_data tokens_v2 APIKEYs`},
	{Perhaps, `key keys Key auth x_key some_key pin pwd PWD pw pat ssh_key deploy_key basic_auth sig seed goauthentik.io/some-key invitation_code routing_key`},
	{0, `
		author authors authority authorized_application authorize authorization_endpoint authentication
		authenticated authenticator authentication_flow auth_method auth_methods
		auth_method_args auth_via auth_type auth_provider monkey donkey turkey hockey keyboard keyword keywords
		keynote hotkey keycloak key_id kid key_type key_usage key_size
		passport passenger passing passed compass bypass passive passage trespass capital rapid api API
		api_version api_url api_response revoke_tokens
		password_change_date password_changed_at password_policy password_policy_id password_strength
		password_length password_min_length password_required password_enabled
		password_expired password_expires_at passwordPolicy passwordless password_reset_url password_reset
		password_file has_password is_secret requires_token force_password_change
		forgot_password token_count tokenCount token_type token_endpoint token_expiry token_expires_at
		token_expires_in token_name token_id tokenid token_url token_limit max_tokens
		maxTokens total_tokens prompt_tokens completion_tokens inputTokens tokens_used tokenizer tokenization
		tokenize tokentype secret_name secret_names secretary secretariat
		secrets_count credential_id credential_type api_key_id apiKeyId access_key_id accesskeyid public_key
		publicKey public_keys pubkey ssh_public_key host_key primary_key
		foreign_key partition_key sort_key cache_key idempotency_key row_key object_key translation_key
		registry_key cookie_policy cookie_consent cookies_accepted cookies_enabled
		cookie_domain session sessions session_duration signature_algorithm signature_valid signed signup
		sign_in pinned ping spin opinion shipping mapping
		country_code error_code status_code exit_code language_code postcode zip_code color_code opcode barcode
		code_challenge bearer_methods_supported
		username user email name action app context client_ip brand expires created pk model_name http_request
		path method request_id user_agent query args geo city asn
		message fingerprint hash checksum etag digest thumbprint certificate known_device stage source flow
		scopes invitation_uuid expression exception previous_value new_value
		tokens_remaining secrets_left issuerKeyHash validKeyChars passwordVariable jsonwebtoken bundle_path
		login_session sonar_url boarding_pass pass_count pass_rate passthrough secret_santa`},
}

func split(list string) []string {
	names := strings.Fields(list)
	for i := range names {
		names[i] = strings.ReplaceAll(names[i], "+", " ")
	}
	return names
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, test := range classified {
		for _, name := range split(test.names) {
			if got := Classify([]byte(name)) & (Secret | Perhaps); got != test.want {
				t.Errorf("%q is %b, want %b", name, got, test.want)
			}
		}
	}
}

func TestMoreClasses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		want  Class
		names string
	}{
		{Authorization | Header, "Authorization authorization HTTP_AUTHORIZATION Proxy-Authorization"},
		{Cookie | Header, "Cookie HTTP_COOKIE"},
		{SetCookie | Header, "Set-Cookie set-cookie"},
		{Header, "X-Api-Key x-auth-token Private-Token X-Amz-Security-Token"},
		{InQuery, "SAMLResponse samlresponse SAMLRequest RelayState assertion client_assertion code_verifier ticket sid"},
		{OAuth, "code state nonce"},
		{OAuthSign, "client_id redirect_uri grant_type response_type code_verifier session_state"},
		{PairName, "name key header field param id type"},
		{PairValue, "value val new_value old new previous before after"},
		{Identifies, "pk app name model_name"},
		{QueryString, "query query_string queryString"},
		{Request, "http_request"},
		{Args, "args"},
		{Guessable, "password user_pass otp recovery_codes passphrase pwd"},
	} {
		for _, name := range split(test.names) {
			if got := Classify([]byte(name)); got&test.want != test.want {
				t.Errorf("%q is %b, want %b in it", name, got, test.want)
			}
		}
	}
	for _, name := range split("token api_key cookie session_id authorization jwt") {
		if Classify([]byte(name))&Guessable != 0 {
			t.Errorf("%q is guessable", name)
		}
	}
}

// spellings writes a snake_case name in other ways, which mean the same.
func spellings(name string) []string {
	words := strings.Split(name, "_")
	title := func(w string) string { return strings.ToUpper(w[:1]) + w[1:] }
	var pascal []string
	for _, w := range words {
		pascal = append(pascal, title(w))
	}
	wide := func(base rune) string { // full-width and mathematical letters
		return strings.Map(func(r rune) rune {
			if 'a' <= r && r <= 'z' {
				return base + r - 'a'
			}
			return r
		}, name)
	}
	return []string{
		strings.ToUpper(name), strings.Join(words, "-"), strings.Join(pascal, "-"), strings.Join(words, "."), strings.Join(words, " "),
		words[0] + strings.Join(pascal[1:], ""), strings.Join(pascal, ""), "x-" + strings.Join(words, "-"), "my_" + name, "user[" + name + "]",
		wide('ａ'), wide('𝐚'), wide('𝚊'), name[:2] + "\u200d" + name[2:], name[:1] + "\u00ad" + name[1:], name[:2] + "\u0301" + name[2:],
		strings.NewReplacer("a", "а", "e", "е", "o", "о", "c", "с", "p", "р").Replace(name), strings.ReplaceAll(name, "s", "ſ"), strings.ReplaceAll(name, "k", "\u212a"),
	}
}

func TestSpellings(t *testing.T) {
	t.Parallel()
	for _, name := range split("password client_secret access_token api_key private_key session_id recovery_codes user_pass cookie credentials signature new_password") {
		for _, spelled := range spellings(name) {
			if Classify([]byte(spelled))&Secret == 0 {
				t.Errorf("%q, a spelling of %s, is no secret", spelled, name)
			}
		}
	}
	for _, name := range split("public_key auth_method token_count password_policy secret_name cache_key") {
		for _, spelled := range spellings(name) {
			if Classify([]byte(spelled))&(Secret|Perhaps) != 0 {
				t.Errorf("%q, a spelling of %s, is a secret", spelled, name)
			}
		}
	}
}

func TestLongNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10_000)
	if Classify([]byte(long+"_password"))&Secret == 0 {
		t.Error("the end of a long name does not count")
	}
	if Classify([]byte("password_"+long))&Secret != 0 {
		t.Error("the beginning of a long name counts")
	}
	Classify([]byte(strings.Repeat("a_", 5000)))
	Classify([]byte(strings.Repeat("é", 5000)))
}

func TestAppendWords(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"badgeNumber": "badge number", "X-Badge-Number": "x badge number", "BADGE_NUMBER": "badge number", "APIKey2": "api key 2", "": "", "--": "",
		"user[pass]": "user pass", "ﬁeld": "field", "OAuthToken": "o auth token", "JWTs": "jwts",
	} {
		if got := string(AppendWords(nil, []byte(name))); got != want {
			t.Errorf("%q: words %q, want %q", name, got, want)
		}
	}
}

func TestAllocations(t *testing.T) {
	names := [][]byte{[]byte("password"), []byte("X-Api-Key"), []byte("authorized_application"), []byte("passw0rd"), []byte("request_id")}
	if n := testing.AllocsPerRun(100, func() {
		for _, name := range names {
			Classify(name)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestAuthentikMasks lists the names that authentik's rule masks and this package
// does not. The golden file is for reading: each of them must be harmless.
func TestAuthentikMasks(t *testing.T) {
	t.Parallel()
	masks := regexp.MustCompile(`(?i)API|AUTH|TOKEN|KEY|SECRET|PASS|SIGNATURE|HTTP_COOKIE`)
	exempt := regexp.MustCompile(`(?i)passing|password_change_date|^auth_method(_args)?$|^revoke_tokens$`)
	file, err := os.Open("testdata/not_masked.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	agreed := map[string]bool{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if line := lines.Text(); line != "" && line[0] != '#' {
			agreed[line] = true
		}
	}
	for _, test := range classified {
		for _, name := range split(test.names) {
			theirs := masks.MatchString(name) && !exempt.MatchString(name)
			if ours := Classify([]byte(name))&(Secret|Perhaps) != 0; theirs && !ours != agreed[name] {
				t.Errorf("%q: masked by authentik, not here, agreed %v", name, agreed[name])
			}
		}
	}
}

func FuzzClassify(f *testing.F) {
	for _, name := range []string{"", "password", "APIKeyID2", "pа\u200dss", "user[token]", "\xff\xfe", "ﬁ", strings.Repeat("aB1_", 99)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		class := Classify([]byte(name))
		words := string(AppendWords(nil, []byte(name)))
		if again := string(AppendWords(nil, []byte(words))); again != words && len(words) < maxName && strings.Count(words, " ") < maxWords-1 {
			t.Errorf("the words of %q are %q, of these %q", name, words, again)
		}
		snake := !strings.ContainsFunc(name, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') })
		if upper := Classify([]byte(strings.ToUpper(name))); snake && upper != class {
			t.Errorf("%q is %b, in capitals %b", name, class, upper)
		}
		if !strings.ContainsFunc(name, unicode.IsLetter) && class&(Secret|Perhaps) != 0 {
			t.Errorf("%q has no letters and is %b", name, class)
		}
	})
}

func BenchmarkClassify(b *testing.B) {
	for _, name := range []string{"password", "authorized_application", "X-Amz-Security-Token", "pаssword", "user_agent"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Classify([]byte(name))
			}
		})
	}
}
