package name

import "strings"

// lexicon is what words and phrases mean, each as its words with a space between.
var lexicon = func() map[string]entry {
	table := map[string]entry{}
	add := func(e entry, list string) {
		for phrase := range strings.SplitSeq(list, ",") {
			table[strings.Join(strings.Fields(phrase), " ")] = e
		}
	}
	// What a word means behind a secret's is told first: what it means by itself
	// overrules that.
	for word := range strings.FieldsSeq(neutral) {
		table[word] = entry{neutral: true}
	}
	add(entry{class: Secret | Guessable}, passwords)
	add(entry{class: Secret}, tokens)
	add(entry{class: Perhaps}, ambiguous)
	add(entry{class: Perhaps | Guessable}, "pin, pwd, pw, oldpwd, puk, invite code, invitation code")
	add(entry{harmless: true}, harmless)
	return table
}()

// passwords are names of what a person can remember or guess.
//
//nolint:gosmopolitan // in the languages of those who write them
const passwords = `
password, passwords, passwd, passphrase, passphrases, pass phrase, pass word, passcode, passcodes, pass code,
pass, psw, pswd, pswrd, passw, passwrd, userpass, pword, passwort,
kennwort, contrasena, contraseña, clave secreta, mot de passe, motdepasse, mdp, senha, wachtwoord, parola,
parola chiave, haslo, hasło, losenord, lösenord,
salasana, adgangskode, пароль, пароли, 密码, 密碼, 口令, パスワード, 暗証番号, 비밀번호, mật khẩu, şifre, parool, parole chiave,
şifrə, heslo, lozinka, jelszo, jelszó, passord, kodeord, contrasenya, palavra passe, salasona, slaptazodis, kata sandi, geslo,
пароля, парола, лозинка, гасло, секрет, κωδικός, κωδικός πρόσβασης, סיסמה, סיסמא, كلمة المرور, كلمة السر, पासवर्ड, รหัสผ่าน, 秘密, 암호,
segreto, segredo, secreto, geheimnis, zugangsdaten, anmeldedaten, credenciales, credenciais, credenziali,
sicherheitscode, wiederherstellungscode, código de verificación, code de verification, codice di verifica,
pasword, passwor, pssword, psswd, paswd, passwod, pasword, passwrod,
otp, otps, totp, hotp, one time password, one time code, one time pin, 2 fa, 2 fa code, mfa code, tfa code, otp
code, totp code, two factor code, two fa code,
verification code, verification codes, verify code, recovery code, recovery codes, backup code, backup codes,
scratch code, scratch codes, security code,
door code, gate code, alarm code, safe code, lock code, sms code, login code, access code,
 confirmation code, activation code, reset code, unlock code, pairing code,
device code, user code,
pin code, pincode, pin number, user pin, card pin, sim pin, cvv, cvc, cvv 2, cvc 2, card verification value,
security answer, security answers, secret answer, secret answers, secret question answer, credential,
credentials, cred, creds,
seed phrase, mnemonic, mnemonic phrase, recovery phrase, static token, unlock key, recovery key`

// tokens are names of what machines make and exchange.
//
//nolint:gosec,gosmopolitan // names of credentials, and none of them, in the languages of those who write them
const tokens = `
token, tokens, itoken, secret, secrets, secret id, apikey, apikeys, api key, api keys, api secret, app key, app
secret, application key,
access key, access keys, secret key, secret keys, secret access key, private key, private keys, privkey, priv
key, private pem, signing key, signing keys, encryption key,
encryption keys, decryption key, crypto key, master key, account key, shared key, shared access key, preshared
key, pre shared key, psk, license key, licence key,
subscription key, session key, auth key, authentication key, function key, functions key, service key, server
key, storage key, webhook key, write key, admin key,
root key, consumer key, developer key, integration key, sas key, hmac key, aes key, kms key material, key
material, bot key, user key secret, tls key, ssl key,
wrapping key, data key, cookie, cookies, set cookie, jwt, jwts, bearer, authorization, proxy authorization,
authorization code, auth code, oauth code,
signature, signatures, x amz signature, session id, session ids, sessionid, session cookie, jsessionid,
phpsessid, connect sid, sessid, sess id, asp net session id,
csrf, xsrf, csrftoken, xsrftoken, totp seed, otp seed, totp uri, otpauth, pepper, saml assertion, client
assertion, nthash, lmhash, ntlm hash, magic link, login link,
токен, 令牌, 토큰, トークン, jeton, clé api, cle api, clave api, chave api, api schlüssel, api schlussel, api schluessel, 密钥, 密鑰,
authentik session, id rsa, id ed 25519, id ecdsa, nt hash, lm hash, kerberos ticket, snmp community, community string, bip 39, xprv,
shared access signature, sonar login, gitlab session, laravel session, bundle gems contribsys com,
bundle enterprise contribsys com`

// ambiguous are names of secrets and of other things.
const ambiguous = `key, keys, auth, pat, ssh key, ssh keys, deploy key, client key, rsa key, jwk, hmac,
clave, chave, clé, cle, schlüssel, schlussel, schluessel, geheim, kek, dek, salt, refresh,
routing key, sig, sas, sas url, auth header, x auth, http auth, basic auth,
basicauth, proxy auth, keyfile, seed, macaroon, client key data, dsn key, totp device, code verifier, x key`

// harmless are phrases that have the word of a secret in them, or of what may be
// one, and are none.
const harmless = `
public key, public keys, pubkey, pub key, public token, primary key, primary keys, foreign key, foreign keys,
partition key, sort key, range key, hash key, cache key,
cache keys, idempotency key, row key, object key, translation key, i 18 n key, config key, configuration key,
registry key, lookup key, group key, dedup key,
deduplication key, message key, event key, issue key, project key, host key, host keys, map key, dict key, json
key, field key, unique key, natural key, composite key,
business key, sort keys, index key, meta key, metadata key, label key, tag key, option key, setting key,
settings key, feature key, flag key, key pair name, hot key, arrow key,
function keys, answer key, search key, s 3 key, file key, blob key, item key, entity key, record key, document
key, resource key, context key, widget key,
key id, key ids, key name, key type, key usage, key size, kid, api key id, access key id, key alg, key
algorithm, key fingerprint, token hash alg,
auth method, auth methods, auth method args, auth via, auth type, auth types, auth provider, auth backend, auth
flow, auth source, auth mode, auth level, auth status, auth user,
auth url, auth uri, auth time, auth failures, auth failure, auth event, auth result, auth state, auth context,
auth app, auth service, auth server, auth domain, auth required,
revoke tokens, cookie policy, cookie consent, cookie banner, cookie domain, cookie notice, boarding pass, season
pass, bus pass, first pass, second pass, pass rate, pass fail,
pass through, pass count, pass percentage, pass ratio, code challenge, token endpoint, token auth method,
signature algorithm, key hash, key chars, password variable, secret santa, secret service`

// neutral are words that, behind the name of a secret, say that the value is about
// it: token_count, password_change_date.
const neutral = `
id ids uuid guid pk name names type types kind count counts counter length len size sizes policy policies method
methods url urls uri uris href endpoint endpoints
expiry expires expiration expire expired expiring ttl lifetime age validity strength score required requires
requirement requirements enabled disabled enable set valid invalid
status changed change changes updated update created modified at on date dates time times timestamp datetime
index version versions algorithm algorithms alg format formats
label labels field fields column columns source sources provider providers issuer issuers audience scope scopes
permission permissions error errors flow flows
stage stages backend backends validator validators manager managers store stores file files filename path paths
dir directory folder rotation rotated limit limits min max minimum maximum
days hours minutes seconds usage usages used use uses match matches matched mismatch exists exist present
missing check checks checked verified expired revoked needed optional
supported support prompt placeholder description help title reason location prefix param parameter parameters
class model app owner service server host hostname
port region group groups role roles mode option options settings setting config configuration reset recovery
bucket pool queue attempts attempt failures failed failure tries retries via args kwargs accepted consent domain
domains secure banner samesite httponly
schema template templates pattern regex regexp rule rules fingerprint thumbprint tags tag category level quality
complexity binding bindings
refreshed refresh last visible visibility hidden show grant grants granted operation operations event events
action actions
metrics metric percent percentage rate ratio budget cost price usd holder viewer view views notice request requests
remaining left ref refs reference references realm`

// heads are first words that say the same: has_password.
var heads = set(`has have is are num n requires require needs need allow allows enable enables must show hide forgot force count max min supports should can`)

// besides are the ambiguous words that are plain beside another: mysql_pwd,
// github_pat, card_pin.
var besides = set(`pwd pw pat pin`)

// counted are the words before "tokens" where language models count them.
var counted = set(`max min total prompt completion input output num number n used remaining cached reasoning billed estimated generated thinking context sampled stop special candidates`)

func set(list string) map[string]bool {
	words := map[string]bool{}
	for word := range strings.FieldsSeq(list) {
		words[word] = true
	}
	return words
}
