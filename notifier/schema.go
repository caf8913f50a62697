package notifier

import (
	"bytes"
	"encoding/json"
	"fmt"

	"sluice/notifier/receiver"
	"sluice/notifier/rules"
)

// ConfigSchema is the JSON Schema of the file that NOTIFIER_CONFIG names: that of
// the rules, with that of the receivers in it.
func ConfigSchema() ([]byte, error) {
	var whole struct {
		Schema               string                     `json:"$schema"`
		Title                string                     `json:"title"`
		Description          string                     `json:"description"`
		Type                 string                     `json:"type"`
		Required             []string                   `json:"required"`
		Properties           map[string]json.RawMessage `json:"properties"`
		AdditionalProperties bool                       `json:"additionalProperties"`
		Defs                 map[string]json.RawMessage `json:"$defs"`
	}
	if err := json.Unmarshal(rules.Schema, &whole); err != nil {
		return nil, fmt.Errorf("read the schema of rules: %w", err)
	}
	var receivers struct {
		ID string `json:"$id"`
	}
	if err := json.Unmarshal(receiver.Schema, &receivers); err != nil {
		return nil, fmt.Errorf("read the schema of receivers: %w", err)
	}
	// A schema with an $id of its own keeps its own names, wherever it stands.
	whole.Defs["receivers"] = receiver.Schema
	whole.Properties["receivers"] = fmt.Appendf(nil, `{"$ref": %q}`, receivers.ID)
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(whole); err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	return out.Bytes(), nil
}
