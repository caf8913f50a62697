package schemas

// The actions of authentik's event log that Sluice was modelled on. The set is
// open: any name of the form [a-z][a-z0-9_]* is an action.
const (
	ActionLogin                    = "login"
	ActionLoginFailed              = "login_failed"
	ActionLogout                   = "logout"
	ActionUserWrite                = "user_write"
	ActionSuspiciousRequest        = "suspicious_request"
	ActionPasswordSet              = "password_set"
	ActionSecretView               = "secret_view"
	ActionSecretRotate             = "secret_rotate"
	ActionInvitationUsed           = "invitation_used"
	ActionAuthorizeApplication     = "authorize_application"
	ActionSourceLinked             = "source_linked"
	ActionImpersonationStarted     = "impersonation_started"
	ActionImpersonationEnded       = "impersonation_ended"
	ActionPolicyExecution          = "policy_execution"
	ActionPolicyException          = "policy_exception"
	ActionPropertyMappingException = "property_mapping_exception"
	ActionSystemTaskException      = "system_task_exception"
	ActionSystemException          = "system_exception"
	ActionConfigurationError       = "configuration_error"
	ActionModelCreated             = "model_created"
	ActionModelUpdated             = "model_updated"
	ActionModelDeleted             = "model_deleted"
	ActionEmailSent                = "email_sent"
	ActionUpdateAvailable          = "update_available"
)

// Action is one entry of the catalogue.
type Action struct {
	Name    string
	Meaning string
}

// Actions returns the catalogue in the order of authentik's documentation.
func Actions() []Action {
	return []Action{
		{ActionLogin, "a user logs in, the source included where there is one"},
		{ActionLoginFailed, "a login attempt failed"},
		{ActionLogout, "a user logs out"},
		{ActionUserWrite, "a user is written to during a flow execution"},
		{ActionSuspiciousRequest, "a suspicious request was received, a revoked token for example"},
		{ActionPasswordSet, "a user sets their password"},
		{ActionSecretView, "a user views a token's or certificate's data"},
		{ActionSecretRotate, "a token was rotated automatically"},
		{ActionInvitationUsed, "an invitation is used"},
		{ActionAuthorizeApplication, "a user authorizes an application"},
		{ActionSourceLinked, "a user links a source to their account"},
		{ActionImpersonationStarted, "a user starts to impersonate another"},
		{ActionImpersonationEnded, "a user ends an impersonation"},
		{ActionPolicyExecution, "a policy with execution logging was executed"},
		{ActionPolicyException, "a policy caused an exception"},
		{ActionPropertyMappingException, "a property mapping caused an exception"},
		{ActionSystemTaskException, "an exception occurred in a system task"},
		{ActionSystemException, "a general exception occurred"},
		{ActionConfigurationError, "a configuration error occurred"},
		{ActionModelCreated, "a model object was created"},
		{ActionModelUpdated, "a model object was updated"},
		{ActionModelDeleted, "a model object was deleted"},
		{ActionEmailSent, "an email was sent, and which"},
		{ActionUpdateAvailable, "an update is available"},
	}
}

// maxActionLen keeps subjects and the table's dictionary of actions small; the
// longest of authentik's is 26.
const maxActionLen = 64

// ValidAction reports whether name may be an action: [a-z][a-z0-9_]*, at most 64
// long.
func ValidAction(name string) bool {
	if name == "" || len(name) > maxActionLen || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
