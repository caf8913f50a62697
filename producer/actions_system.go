package producer

import "sluice/schemas"

// PolicyExecutionContext is what a policy decided.
type PolicyExecutionContext struct {
	PolicyUUID string         `json:"policy_uuid"`
	Message    string         `json:"message,omitempty"`
	Binding    *Model         `json:"binding,omitempty"`
	Request    map[string]any `json:"request,omitempty"`
	Result     map[string]any `json:"result,omitempty"`
}

// PolicyExecution makes the event of a policy that was executed.
func PolicyExecution(c PolicyExecutionContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionPolicyExecution, c, options...)
}

// Exception is one of a chain of exceptions, outermost first.
type Exception struct {
	Type  string `json:"exc_type"`
	Value string `json:"exc_value"`
}

// PolicyExceptionContext is how a policy failed.
type PolicyExceptionContext struct {
	PolicyUUID string         `json:"policy_uuid,omitempty"`
	Message    string         `json:"message"`
	Exception  []Exception    `json:"exception,omitempty"`
	Binding    *Model         `json:"binding,omitempty"`
	Request    map[string]any `json:"request,omitempty"`
}

// PolicyException makes the event of a policy that failed.
func PolicyException(c PolicyExceptionContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionPolicyException, c, options...)
}

// PropertyMappingExceptionContext is how a property mapping failed.
type PropertyMappingExceptionContext struct {
	Message    string      `json:"message"`
	Expression string      `json:"expression,omitempty"`
	Exception  []Exception `json:"exception,omitempty"`
	Mapping    *Model      `json:"mapping,omitempty"`
}

// PropertyMappingException makes the event of a property mapping that failed.
func PropertyMappingException(c PropertyMappingExceptionContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionPropertyMappingException, c, options...)
}

// SystemTaskExceptionContext is how a task in the background failed.
type SystemTaskExceptionContext struct {
	Message   string      `json:"message"`
	Actor     string      `json:"actor,omitempty"`
	Exception []Exception `json:"exception,omitempty"`
}

// SystemTaskException makes the event of a task that failed.
func SystemTaskException(c SystemTaskExceptionContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionSystemTaskException, c, options...)
}

// SystemExceptionContext is how the service failed.
type SystemExceptionContext struct {
	Message   string      `json:"message"`
	Exception []Exception `json:"exception,omitempty"`
}

// SystemException makes the event of a failure that nothing else describes.
func SystemException(c SystemExceptionContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionSystemException, c, options...)
}

// ConfigurationErrorContext is what is set up wrongly.
type ConfigurationErrorContext struct {
	Message  string `json:"message"`
	Provider *Model `json:"provider,omitempty"`
	Source   *Model `json:"source,omitempty"`
	Mapping  *Model `json:"mapping,omitempty"`
	Stage    *Model `json:"stage,omitempty"`
	Error    string `json:"error,omitempty"`
	Cause    string `json:"cause,omitempty"`
}

// ConfigurationError makes the event of something that is set up wrongly.
func ConfigurationError(c ConfigurationErrorContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionConfigurationError, c, options...)
}

// Change is what became of one field.
type Change struct {
	Previous any `json:"previous_value"`
	New      any `json:"new_value"`
}

// ModelContext is which object was created, updated or deleted.
type ModelContext struct {
	Model Model `json:"model"`
	// Diff is what changed, by field.
	Diff map[string]Change `json:"diff,omitempty"`
}

// ModelCreated makes the event of an object that was created.
func ModelCreated(c ModelContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionModelCreated, c, options...)
}

// ModelUpdated makes the event of an object that was updated.
func ModelUpdated(c ModelContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionModelUpdated, c, options...)
}

// ModelDeleted makes the event of an object that was deleted.
func ModelDeleted(c ModelContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionModelDeleted, c, options...)
}

// EmailSentContext is which email was sent. A body with a link or a code in it is
// as good as the secret: it is better left out.
type EmailSentContext struct {
	Message string   `json:"message,omitempty"`
	Subject string   `json:"subject"`
	Body    string   `json:"body,omitempty"`
	From    string   `json:"from_email,omitempty"`
	To      []string `json:"to_email"`
}

// EmailSent makes the event of an email that was sent.
func EmailSent(c EmailSentContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionEmailSent, c, options...)
}

// UpdateAvailableContext is which version can be had.
type UpdateAvailableContext struct {
	NewVersion string `json:"new_version"`
	Message    string `json:"message,omitempty"`
	Changelog  string `json:"changelog,omitempty"`
}

// UpdateAvailable makes the event of an update that is available.
func UpdateAvailable(c UpdateAvailableContext, options ...Option) schemas.Event {
	return Custom(schemas.ActionUpdateAvailable, c, options...)
}
