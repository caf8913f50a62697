package receiver

import "strings"

// teamsTextChars keeps a card far below the 28 KB that Teams takes.
const teamsTextChars = 4000

// readTeams reads a webhook of Microsoft Teams, made by its Workflows app ("post
// to a channel when a webhook request is received").
func readTeams(d *definition) (members, finish) {
	return readChat(d, func(n Notice, text string) any {
		facts := []map[string]any{}
		for _, f := range n.facts() {
			facts = append(facts, map[string]any{"title": f.name, "value": teamsEscape(f.value)})
		}
		style := map[int]string{0xc62828: "attention", 0xf9a825: "warning", 0x2e7d32: "good"}[n.color()]
		if style == "" {
			style = "accent"
		}
		return map[string]any{
			"type": "message",
			"attachments": []any{map[string]any{
				"contentType": "application/vnd.microsoft.card.adaptive",
				"content": map[string]any{
					"$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
					"type":    "AdaptiveCard", "version": "1.4",
					"body": []any{
						map[string]any{"type": "TextBlock", "text": teamsEscape(n.headline()), "weight": "bolder", "size": "medium", "wrap": true, "color": style},
						map[string]any{"type": "TextBlock", "text": cut(text, teamsTextChars), "wrap": true},
						map[string]any{"type": "FactSet", "facts": facts},
					},
				},
			}},
		}
	}, teamsEscape)
}

// teamsEscape keeps text from being formatted or a link: cards know a part of
// Markdown.
func teamsEscape(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "[", `\[`, "`", "\\`", "#", `\#`).Replace(text)
}
