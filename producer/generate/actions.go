package generate

// kind numbers the actions, in the order of authentik's documentation.
type kind int

const (
	login kind = iota
	loginFailed
	logout
	userWrite
	suspiciousRequest
	passwordSet
	secretView
	secretRotate
	invitationUsed
	authorizeApplication
	sourceLinked
	impersonationStarted
	impersonationEnded
	policyExecution
	policyException
	propertyMappingException
	systemTaskException
	systemException
	configurationError
	modelCreated
	modelUpdated
	modelDeleted
	emailSent
	updateAvailable
	kindCount
)

// action is what all events of a kind have in common.
type action struct {
	name string
	app  string // authentik's module that emits it
	// weight is how often it is begun when nothing else is due. What follows
	// from other steps, and the once in every block, comes on top.
	weight int
	// background: no request causes it, so there is no user and no address.
	background bool
	// unidentified: who is not logged in stays the anonymous user.
	unidentified bool
	context      func(d *draft) // writes the members of the context
}

func actions() []action {
	const signals, middleware, policies = "authentik.events.signals", "authentik.events.middleware", "authentik.policies.process"
	return []action{
		login:       {name: "login", app: signals, weight: 200, context: writeLogin},
		loginFailed: {name: "login_failed", app: signals, weight: 20, context: writeLoginFailed},
		logout:      {name: "logout", app: signals, weight: 200, context: writeLogout},
		userWrite:   {name: "user_write", app: signals, weight: 25, context: writeUserWrite},
		suspiciousRequest: {
			name: "suspicious_request", app: "authentik.providers.oauth2.views.token",
			weight: 4, unidentified: true, context: writeSuspiciousRequest,
		},
		passwordSet: {name: "password_set", app: signals, weight: 6, context: writePasswordSet},
		secretView:  {name: "secret_view", app: "authentik.crypto.api", weight: 8, context: writeSecretView},
		secretRotate: {
			name: "secret_rotate", app: "authentik.core.models",
			weight: 10, background: true, context: writeSecretRotate,
		},
		invitationUsed: {name: "invitation_used", app: signals, weight: 4, unidentified: true, context: writeInvitationUsed},
		authorizeApplication: {
			name: "authorize_application", app: "authentik.providers.oauth2.views.authorize",
			weight: 200, context: writeAuthorizeApplication,
		},
		sourceLinked: {name: "source_linked", app: "authentik.core.sources.stage", weight: 5, context: writeSourceLinked},
		impersonationStarted: {
			name: "impersonation_started", app: "authentik.core.api.users",
			weight: 3, context: writeImpersonationStarted,
		},
		impersonationEnded: {name: "impersonation_ended", app: "authentik.core.api.users", context: writeImpersonationEnded},
		policyExecution:    {name: "policy_execution", app: policies, weight: 40, context: writePolicyExecution},
		policyException:    {name: "policy_exception", app: policies, weight: 2, context: writePolicyException},
		propertyMappingException: {
			name: "property_mapping_exception", app: "authentik.core.expression.evaluator",
			weight: 2, context: writePropertyMappingException,
		},
		systemTaskException: {
			name: "system_task_exception", app: "authentik.tasks.middleware",
			weight: 3, background: true, context: writeSystemTaskException,
		},
		systemException: {name: "system_exception", app: middleware, weight: 3, context: writeSystemException},
		configurationError: {
			name: "configuration_error", app: "authentik.providers.oauth2.errors",
			weight: 3, unidentified: true, context: writeConfigurationError,
		},
		modelCreated: {name: "model_created", app: middleware, weight: 30, context: writeModelCreated},
		modelUpdated: {name: "model_updated", app: middleware, weight: 90, context: writeModelUpdated},
		modelDeleted: {name: "model_deleted", app: middleware, weight: 15, context: writeModelDeleted},
		emailSent: {
			name: "email_sent", app: "authentik.stages.email.tasks",
			weight: 12, background: true, context: writeEmailSent,
		},
		updateAvailable: {name: "update_available", app: "authentik.admin.tasks", background: true, context: writeUpdateAvailable},
	}
}
