package main

import (
	"bytes"
	"encoding/json"
	"maps"

	"sluice/schemas"
)

// object is a JSON object; its members are written in the order of their names.
type object map[string]any

func render(o object) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(o); err != nil {
		panic(err) // strings, lists and objects alone
	}
	return out.Bytes()
}

// wholeEvent is the envelope and, by its action, the context.
func wholeEvent() object {
	all := []any{object{"$ref": "envelope.json"}}
	for _, action := range schemas.Actions() {
		all = append(all, object{
			"if":   object{"properties": object{"action": object{"const": action.Name}}, "required": []string{"action"}},
			"then": object{"properties": object{"context": object{"$ref": "context/" + action.Name + ".json"}}},
		})
	}
	return object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "An event",
		"description": "The envelope, and the context of the actions that authentik has. Any other action may have any context.",
		"allOf":       all,
	}
}

const schemaFormat = "application/schema+json;version=2020-12"

func payload(file string) object {
	return object{"schemaFormat": schemaFormat, "schema": object{"$ref": "./" + file}}
}

func text(description string) object { return object{"type": "string", "description": description} }

// asyncAPI describes each stream as a channel and each action as a message.
func asyncAPI() object {
	tenant := object{"description": "Whose event it is: letters, digits, - and _, at most 64."}
	action := object{"description": "What happened: [a-z][a-z0-9_]*, at most 64; one of authentik's or another."}
	common := object{
		"Nats-Msg-Id":             text("The event's pk. The stream drops what comes again with the same id within two minutes."),
		schemas.HeaderTraceParent: text("The W3C trace context, passed through every stage."),
	}
	messages, raw, clean := object{}, object{}, object{}
	for _, a := range schemas.Actions() {
		messages[a.Name] = object{
			"title": a.Name, "summary": a.Meaning, "contentType": "application/json",
			"payload": object{"schemaFormat": schemaFormat, "schema": object{"allOf": []any{
				object{"$ref": "./envelope.json"},
				object{"properties": object{"action": object{"const": a.Name}, "context": object{"$ref": "./context/" + a.Name + ".json"}}},
			}}},
			"headers": object{"type": "object", "properties": common},
		}
		raw[a.Name] = object{"$ref": "#/components/messages/" + a.Name}
		clean[a.Name] = object{"$ref": "#/components/messages/" + a.Name}
	}
	messages["other_action"] = object{
		"title": "any other action", "summary": "the set of actions is open", "contentType": "application/json",
		"payload": payload("envelope.json"), "headers": object{"type": "object", "properties": common},
	}
	raw["other_action"] = object{"$ref": "#/components/messages/other_action"}
	clean["other_action"] = object{"$ref": "#/components/messages/other_action"}
	messages["quarantined"] = object{
		"title": "a quarantined event", "summary": "the bytes that were refused, as they came, secrets included",
		"contentType": "application/octet-stream",
		"payload":     object{"type": "string", "description": "Whatever was published; it need not be JSON."},
		"headers": object{"type": "object", "properties": object{
			schemas.HeaderReason: object{"type": "string", "enum": schemas.Reasons(), "description": "Why it is here."},
			schemas.HeaderDetail: text("What was found wrong, in words, without any of the event."), schemas.HeaderSubject: text("The subject it was published to."),
			schemas.HeaderStoredAt: text("When its stream stored it, RFC 3339."),
		}},
	}
	messages["alert"] = object{
		"title": "an alert", "summary": "a CloudEvent 1.0 in JSON, structured mode", "contentType": "application/cloudevents+json",
		"payload": payload("alert.json"), "headers": object{"type": "object", "properties": object{
			"Nats-Msg-Id": text("The alert's id."), schemas.HeaderTraceParent: common[schemas.HeaderTraceParent],
		}},
	}
	channel := func(s schemas.Stream, address string, parameters, of object) object {
		return object{
			"title": s.Name, "address": address, "description": "JetStream stream " + s.Name + ": " + s.Description + ".",
			"parameters": parameters, "messages": of,
		}
	}
	operation := func(action, channel, summary string) object {
		return object{"action": action, "channel": object{"$ref": "#/channels/" + channel}, "summary": summary}
	}
	reason := object{"description": "Why it is here.", "enum": schemas.Reasons()}
	severities := []schemas.Severity{schemas.SeverityNotice, schemas.SeverityWarning, schemas.SeverityAlert}
	severity := object{"description": "How much it matters.", "enum": severities}
	addHeaders(clean, messages)
	return object{
		"asyncapi": "3.0.0",
		"info": object{
			"title": "Sluice", "version": "1.0.0",
			"description": "Audit events: published raw, redacted, stored, and turned into alerts. From the point of view of whoever uses Sluice.",
		},
		"servers":            object{"nats": object{"host": "127.0.0.1:4222", "protocol": "nats", "description": "The broker of standalone; JetStream, nats-server 2.14 or newer."}},
		"defaultContentType": "application/json",
		"channels": object{
			"raw":        channel(schemas.RawStream(), schemas.RawPrefix+".{tenant}.{action}", object{"tenant": tenant, "action": action}, raw),
			"clean":      channel(schemas.CleanStream(), schemas.CleanPrefix+".{tenant}.{action}", object{"tenant": tenant, "action": action}, clean),
			"quarantine": channel(schemas.QuarantineStream(), schemas.QuarantinePrefix+".{tenant}.{reason}", object{"tenant": tenant, "reason": reason}, object{"quarantined": object{"$ref": "#/components/messages/quarantined"}}),
			"alerts":     channel(schemas.AlertsStream(), schemas.AlertsPrefix+".{tenant}.{severity}.{action}", object{"tenant": tenant, "severity": severity, "action": action}, object{"alert": object{"$ref": "#/components/messages/alert"}}),
		},
		"operations": object{
			"publishEvent":  operation("send", "raw", "Publish an event and wait for the stream's acknowledgement."),
			"readEvents":    operation("receive", "clean", "Read redacted events, from the beginning if wished."),
			"receiveAlerts": operation("receive", "alerts", "Be told."),
			"judgeRefused":  operation("receive", "quarantine", "Look after what was refused; it holds secrets. Use `redactor quarantine`."),
		},
		"components": object{"messages": messages},
	}
}

// addHeaders gives the clean messages the headers that the redactor adds. A message
// is the same on both channels, so the headers stand with all of them.
func addHeaders(clean, messages object) {
	for name := range clean {
		message, _ := messages[name].(object)
		headers, _ := message["headers"].(object)
		properties := object{
			schemas.HeaderRedacted:     text("On clean events: the JSON Pointers (RFC 6901) of what was masked, as a JSON array."),
			schemas.HeaderFingerprints: text("On clean events, where the redactor has a key: fingerprints of what was masked, as a JSON object, with JSON Pointers."),
		}
		common, _ := headers["properties"].(object)
		maps.Copy(properties, common)
		message["headers"] = object{"type": "object", "properties": properties}
	}
}
