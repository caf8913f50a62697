package generate

import "strconv"

// The contexts of what the system does and what goes wrong in it.

const oauth2 = "authentik_providers_oauth2"

func writeSuspiciousRequest(d *draft) {
	if d.random.oneIn(3) {
		d.str("message", "Invalid HTTP_HOST header: 'probe.example.net'. You may need to add 'probe.example.net' to ALLOWED_HOSTS.")
		d.members(`"exception":[{"exc_type":"DisallowedHost","exc_value":"Invalid HTTP_HOST header","frames":[]}]`)
		d.request("GET", "/.env", noArgs)
		return
	}
	d.str("message", "Revoked refresh token was used")
	d.reference("token", strconv.Itoa(d.random.between(1, 90000)), oauth2, "Refresh Token", "refreshtoken")
	d.reference("provider", "14", oauth2, "Provider for Grafana", "oauth2provider")
	d.request("POST", "/application/o/token/", noArgs)
}

func writeSecretView(d *draft) {
	if d.random.oneIn(2) {
		d.model("secret", "8f14e45fceea467a9b1d6f0c5a3b2e71", "authentik_core", "ak-outpost-ldap-api", "token")
		d.request("GET", "/api/v3/core/tokens/ak-outpost-ldap-api/view_key/", noArgs)
		return
	}
	part := pick(d.random, []string{"certificate", "private_key"})
	const pk = "45c48cce2e2d4fb9a8f7d3a1c9e0b246"
	d.model("secret", pk, "authentik_crypto", "authentik Self-signed Certificate", "certificatekeypair")
	d.str("type", part)
	d.request("GET", "/api/v3/crypto/certificatekeypairs/"+pk+"/view_"+part+"/", `{"download":"false"}`)
}

func writeSecretRotate(d *draft) {
	name := pick(d.random, []string{"ak-outpost-ldap-api", "ak-outpost-proxy-api", "ci-runner", "backup-job"})
	d.model("token", "d3d9446802a44259755d38e6d163e820", "authentik_core", name, "token")
	d.str("message", "Token "+name+"'s secret was rotated.")
}

func writePolicyExecution(d *draft) {
	d.writePolicy("Policy Execution")
	passing := !d.random.oneIn(8)
	d.object("result")
	d.boolean("passing", passing)
	d.members(`"messages":[],"raw_result":null,"source_results":[],"log_messages":[]`)
	d.end()
}

func writePolicyException(d *draft) {
	d.writePolicy("Policy raised an exception: " + d.step.fault.message)
	d.writeException()
}

// writePolicy writes what both policy actions have: the binding and the request
// that was judged.
func (d *draft) writePolicy(message string) {
	app := d.application()
	d.str("message", message)
	d.members(`"policy_uuid":"1679091c5a880faf6fb5e6087eb1b2dc"`)
	d.model("binding", "c9f0f895fb98ab9159f51fd0297e236d", "authentik_policies", "Binding - #0 to Policy office-hours", "policybinding")
	d.object("request")
	d.object("user")
	d.members(d.step.who.json)
	d.end()
	d.raw("obj", app.json)
	d.members(`"context":{},"debug":false,"http_request":null`)
	d.end()
	d.request("GET", "/application/o/authorize/", `{"client_id":"`+app.slug+`","response_type":"code"}`)
}

func writePropertyMappingException(d *draft) {
	d.str("message", "Failed to evaluate property-mapping")
	d.str("expression", "groups = [group.name for group in request.user.ak_groups.all()]\nreturn {\"groups\": groups, \"team\": groups[0]}")
	d.writeException()
	d.request("GET", "/application/o/userinfo/", noArgs)
}

func writeSystemTaskException(d *draft) {
	actor := pick(d.random, []string{
		"authentik.sources.ldap.tasks.ldap_sync", "authentik.providers.scim.tasks.scim_sync",
		"authentik.outposts.tasks.outpost_controller", "authentik.blueprints.v1.tasks.apply_blueprint",
	})
	d.str("message", "Task "+actor+" encountered an error: "+d.step.fault.message)
	d.str("actor", actor)
	d.writeException()
}

func writeSystemException(d *draft) {
	d.str("message", d.step.fault.message)
	d.writeException()
	d.request(pick(d.random, []string{"GET", "POST"}), pick(d.random, []string{
		"/api/v3/core/users/", "/api/v3/core/applications/", "/application/o/token/", "/if/flow/default-authentication-flow/",
	}), noArgs)
}

func (d *draft) writeException() {
	d.list("exception")
	d.buf = append(d.buf, d.step.fault.json...)
	d.endList()
}

func writeConfigurationError(d *draft) {
	app := d.application()
	d.str("message", "Redirect URI Error: given redirect URI is not configured for "+app.name)
	d.reference("provider", "14", oauth2, "Provider for Grafana", "oauth2provider")
	d.str("redirect_uri", "https://"+app.slug+".example.net/callback")
	d.list("expected")
	d.element("https://" + app.slug + ".example.org/callback")
	d.endList()
	d.request("GET", "/application/o/authorize/", `{"client_id":"`+app.slug+`","response_type":"code"}`)
}

func writeModelCreated(d *draft) {
	o := &d.org.objects[d.random.below(objectCount)]
	*o = newObject(d.random, d.org.kinds) // in the place of one that stays as it is from now on
	d.writeModel(o, false)
	d.request("POST", o.kind.path, noArgs)
}

func writeModelUpdated(d *draft) {
	o := &d.org.objects[d.random.below(objectCount)]
	d.writeModel(o, true)
	d.request("PATCH", o.path(), noArgs)
}

func writeModelDeleted(d *draft) {
	o := &d.org.objects[d.random.below(objectCount)]
	d.writeModel(o, false)
	d.request("DELETE", o.path(), noArgs)
	*o = newObject(d.random, d.org.kinds) // one that has been there all along
}

func (d *draft) writeModel(o *object, changed bool) {
	d.reference("model", o.pk, o.kind.app, o.name, o.kind.model)
	switch {
	case !changed || d.random.oneIn(2):
	case o.kind.model == "group":
		d.raw("diff", `{"users":{"add":[17,42],"remove":[]}}`)
	case o.kind.model == "application":
		d.raw("diff", `{"policy_engine_mode":{"previous_value":"any","new_value":"all"},`+
			`"open_in_new_tab":{"previous_value":false,"new_value":true}}`)
	default:
		d.raw("diff", `{"name":{"previous_value":"old name","new_value":"new name"}}`)
	}
}

func writeEmailSent(d *draft) {
	to := d.step.target
	d.str("message", "Email to "+to.name+" sent")
	d.str("subject", "authentik: Reset your access")
	d.str("body", mailHead+"<p>Hi "+to.name+",</p>"+mailTail)
	d.str("from_email", "authentik@example.org")
	d.list("to_email")
	d.element(to.email)
	d.endList()
}

const (
	mailHead = "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>authentik</title></head>\n<body>\n" +
		"<table role=\"presentation\" width=\"100%\"><tr><td align=\"center\">"
	mailTail = "<p>You asked to choose a new way in. Open the page from which you asked and go on there.</p>\n" +
		"<p>If you did not ask for it, there is nothing to do: ignore this mail and nothing changes.</p>" +
		"</td></tr></table>\n</body>\n</html>\n"
)

func writeUpdateAvailable(d *draft) {
	version := d.org.nextVersion()
	d.str("message", "Changelog: https://docs.example.org/releases/"+version)
	d.str("new_version", version)
	d.str("changelog", "https://docs.example.org/releases/"+version)
}
