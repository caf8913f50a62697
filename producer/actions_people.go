package producer

import "sluice/schemas"

// LoginContext is what is known of a login.
type LoginContext struct {
	// AuthMethod is how: password, token, jwt, auth_mfa, auth_webauthn_pwl and others.
	AuthMethod     string         `json:"auth_method,omitempty"`
	AuthMethodArgs map[string]any `json:"auth_method_args,omitempty"`
	// Source is the external source where there was one.
	Source      *Model `json:"source,omitempty"`
	Application *Model `json:"application,omitempty"`
	Outpost     *Model `json:"outpost,omitempty"`
	Device      *Model `json:"device,omitempty"`
}

// Login makes the event of a user who logs in.
func Login(c LoginContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionLogin, c, options...)
}

// LoginFailedContext is what is known of an attempt that failed.
type LoginFailedContext struct {
	// Username is the one that was tried; there may be no such user.
	Username string `json:"username"`
	// Stage is where it failed.
	Stage          *Model         `json:"stage,omitempty"`
	AuthMethodArgs map[string]any `json:"auth_method_args,omitempty"`
	Reason         string         `json:"reason,omitempty"`
}

// LoginFailed makes the event of an attempt to log in that failed.
func LoginFailed(c LoginFailedContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionLoginFailed, c, options...)
}

// LogoutContext is what is known of a logout.
type LogoutContext struct {
	Reason string `json:"logout_reason,omitempty"`
}

// Logout makes the event of a user who logs out.
func Logout(c LogoutContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionLogout, c, options...)
}

// UserWriteContext is what was written to a user.
type UserWriteContext struct {
	Username string `json:"username,omitempty"`
	Name     string `json:"name,omitempty"`
	Email    string `json:"email,omitempty"`
	// Created tells a new user from a change.
	Created    bool           `json:"created"`
	Attributes map[string]any `json:"attributes,omitempty"`
}

// UserWrite makes the event of a user who is written to.
func UserWrite(c UserWriteContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionUserWrite, c, options...)
}

// SuspiciousRequestContext is why a request is suspicious.
type SuspiciousRequestContext struct {
	Message   string `json:"message"`
	Exception string `json:"exception,omitempty"`
	Provider  *Model `json:"provider,omitempty"`
	Token     *Model `json:"token,omitempty"`
}

// SuspiciousRequest makes the event of a suspicious request, of a revoked token
// for example.
func SuspiciousRequest(c SuspiciousRequestContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionSuspiciousRequest, c, options...)
}

// PasswordSet makes the event of a user who sets their password.
func PasswordSet(options ...Option) schemas.Event {
	return Custom(schemas.ActionPasswordSet, nil, options...)
}

// SecretViewContext is which secret was looked at.
type SecretViewContext struct {
	Secret Model `json:"secret"`
	// Type is certificate or private_key where the secret is a pair.
	Type string `json:"type,omitempty"`
}

// SecretView makes the event of a user who looks at a secret.
func SecretView(c SecretViewContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionSecretView, c, options...)
}

// SecretRotateContext is which token was rotated.
type SecretRotateContext struct {
	Token   Model  `json:"token"`
	Message string `json:"message,omitempty"`
}

// SecretRotate makes the event of a token that was rotated.
func SecretRotate(c SecretRotateContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionSecretRotate, c, options...)
}

// InvitationUsedContext is which invitation was used.
type InvitationUsedContext struct {
	InvitationUUID string `json:"invitation_uuid"`
}

// InvitationUsed makes the event of an invitation that is used.
func InvitationUsed(c InvitationUsedContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionInvitationUsed, c, options...)
}

// AuthorizeApplicationContext is what was authorized.
type AuthorizeApplicationContext struct {
	Application Model `json:"authorized_application"`
	// Flow is the id of the flow in which it was.
	Flow   string `json:"flow,omitempty"`
	Scopes string `json:"scopes,omitempty"`
}

// AuthorizeApplication makes the event of a user who authorizes an application.
func AuthorizeApplication(c AuthorizeApplicationContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionAuthorizeApplication, c, options...)
}

// SourceLinkedContext is which source was linked.
type SourceLinkedContext struct {
	Source  Model  `json:"source"`
	Message string `json:"message,omitempty"`
}

// SourceLinked makes the event of a user who links a source to their account.
func SourceLinked(c SourceLinkedContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionSourceLinked, c, options...)
}

// ImpersonationStartedContext is why somebody is impersonated.
type ImpersonationStartedContext struct {
	Reason string `json:"reason,omitempty"`
}

// ImpersonationStarted makes the event of a user who begins to impersonate
// another: By names them, with the other in OnBehalfOf.
func ImpersonationStarted(c ImpersonationStartedContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionImpersonationStarted, c, options...)
}

// ImpersonationEnded makes the event of an impersonation that ends.
func ImpersonationEnded(options ...Option) schemas.Event {
	return Custom(schemas.ActionImpersonationEnded, nil, options...)
}
