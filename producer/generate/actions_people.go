package generate

import "strconv"

// The contexts of what people do: logging in and out, and to their own accounts.

// mask is what authentik writes in place of a credential.
const mask = "********************"

// Arguments of requests, as JSON.
const (
	noArgs   = `{}`
	nextArgs = `{"query":"next=%2F"}`
)

func flow(slug string) string {
	return "/api/v3/flows/executor/" + slug + "/"
}

func writeLogin(d *draft) {
	who := d.step.who
	switch {
	case who.robot:
		d.members(`"auth_method":"app_password","auth_method_args":{"identifier":"ak-outpost"}`)
	case who.pk%3 == 0:
		d.members(`"auth_method":"password","auth_method_args":{"known_device":true,"mfa_devices":[{"pk":` + strconv.Itoa(who.pk) +
			`,"app":"authentik_stages_authenticator_totp","name":"TOTP Device","model_name":"totpdevice"}]}`)
	case who.pk%7 == 0:
		d.members(`"auth_method":"auth_webauthn_pwl","auth_method_args":{}`)
	case who.pk%11 == 0:
		d.model("source", "0d9c8a4be1f04c1d9a53b1f6f6a0c2d7", "authentik_sources_ldap", "Corporate directory", "ldapsource")
		d.members(`"auth_method":"password","auth_method_args":{}`)
	default:
		d.members(`"auth_method":"password","auth_method_args":{}`)
	}
	args := nextArgs
	if !who.robot && d.random.oneIn(3) {
		args = `{"query":"next=%2Fapplication%2Fo%2Fauthorize%2F%3Fclient_id%3D` + d.application().slug + `%26response_type%3Dcode"}`
	}
	d.request("GET", flow("default-authentication-flow"), args)
}

func writeLoginFailed(d *draft) {
	d.model("stage", "7e88f4a991c442c1a1335d80f0827d7f", "authentik_stages_password", "default-authentication-password", "passwordstage")
	if !d.taken("password") {
		d.str("password", mask)
	}
	d.str("username", d.step.target.username)
	d.request("POST", flow("default-authentication-flow"), nextArgs)
}

func writeLogout(d *draft) {
	if d.random.oneIn(5) {
		d.members(`"logout_reason":"session_binding_broken","binding":{"reason":"network.missing","new_value":"`)
		d.buf = append(d.buf, d.step.from.ip...)
		d.buf = append(d.buf, `","previous_value":"`...)
		d.buf = append(d.buf, d.step.who.home.ip...)
		d.buf = append(d.buf, `"}`...)
	}
	d.request("GET", flow("default-invalidation-flow"), `{"query":""}`)
}

func writeUserWrite(d *draft) {
	who := d.step.who
	d.str("name", who.name)
	d.str("email", who.email)
	d.boolean("created", d.step.anonymous)
	d.str("username", who.username)
	attributes := pick(d.random, []string{
		`{"settings":{"locale":""}}`,
		`{"settings":{"locale":"de","theme":{"base":"dark"}}}`,
		`{"settings":{"locale":"fr"},"department":"Support"}`,
	})
	if !d.taken("attributes") {
		d.raw("attributes", attributes)
	}
	if d.step.anonymous {
		d.request("POST", flow("default-enrollment-flow"), nextArgs)
	} else {
		d.request("GET", flow("default-user-settings-flow"), `{"query":""}`)
	}
}

func writePasswordSet(d *draft) {
	if d.step.anonymous {
		d.request("POST", flow("default-recovery-flow"), nextArgs)
	} else {
		d.request("POST", flow("default-password-change"), nextArgs)
	}
}

func writeInvitationUsed(d *draft) {
	d.hex("invitation_uuid", [2]uint64{d.random.next(), d.random.next()})
	d.request("GET", flow("default-enrollment-flow"), nextArgs)
}

func writeAuthorizeApplication(d *draft) {
	app := d.application()
	d.raw("authorized_application", app.json)
	if d.random.oneIn(12) {
		d.model("endpoint", "5b7a0b7a9f5c4b7c8f0e2d1c3b4a5968", "authentik_providers_rac", "jump host", "endpoint")
	} else {
		d.members(`"flow":"53287faa8a644b6cb124cb602a84282f"`)
		d.str("scopes", app.scopes)
	}
	d.request("GET", flow("default-provider-authorization-implicit-consent"),
		`{"query":"client_id=`+app.slug+`&redirect_uri=https%3A%2F%2F`+app.slug+`.example.org%2Fcallback`+
			`&response_type=code&scope=openid+email+profile"}`)
}

// application is one that the person likes, or now and then another.
func (d *draft) application() *application {
	if d.random.oneIn(6) {
		return &d.org.applications[d.random.weighted(d.org.popularity)]
	}
	return &d.org.applications[pick(d.random, d.step.who.favourite[:])]
}

func writeSourceLinked(d *draft) {
	source := pick(d.random, []string{"GitHub", "Google", "Example Partner IdP"})
	d.str("message", "Linked Source")
	d.model("source", "c2a7f0b1d5e84f0fa1b2c3d4e5f60718", "authentik_sources_oauth", source, "oauthsource")
	d.request("GET", flow("default-source-pre-authentication"), nextArgs)
}

func writeImpersonationStarted(d *draft) {
	d.str("reason", pick(d.random, []string{
		"Ticket 4711: cannot see the application", "reproduce a permission problem", "", "on request by phone",
	}))
	d.request("POST", "/api/v3/core/users/"+strconv.Itoa(d.step.target.pk)+"/impersonate/", noArgs)
}

func writeImpersonationEnded(d *draft) {
	d.request("GET", "/api/v3/core/users/impersonate_end/", noArgs)
}
