// Package contract holds what Sluice promises in formats that other tools read:
// JSON Schemas (2020-12) of the event, of each action's context and of the alert,
// and an AsyncAPI 3.0 document of all subjects and messages.
//
// The schemas of contexts are tolerant: they say what authentik's own events hold,
// allow whatever else, and keep no event out. What is refused is for
// [sluice/schemas.Decoder] to say.
package contract

import (
	"embed"
	"io/fs"
)

//go:embed *.json context/*.json
var files embed.FS

// Files returns the documents: envelope.json, context/<action>.json, event.json,
// which is both together, alert.json, definitions.json, to which they refer by
// relative references, and asyncapi.json.
func Files() fs.FS { return files }

// Context returns the name of the schema of an action's context, or "" where the
// action has none.
func Context(action string) string {
	name := "context/" + action + ".json"
	if _, err := fs.Stat(files, name); err != nil {
		return ""
	}
	return name
}
