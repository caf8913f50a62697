package receiver

import (
	"strings"
	"time"
)

// Discord's limits of an embed: 256 characters of title, 4096 of description,
// 1024 of a field, 6000 in all.
const (
	discordTitleChars = 256
	discordTextChars  = 3500
	discordFieldChars = 256
)

// readDiscord reads a webhook of Discord.
func readDiscord(d *definition) (members, finish) {
	return readChat(d, func(n Notice, text string) any {
		fields := []map[string]any{}
		for _, f := range n.facts() {
			fields = append(fields, map[string]any{"name": f.name, "value": cut(discordEscape(f.value), discordFieldChars), "inline": true})
		}
		return map[string]any{
			// Whatever the text says, it calls nobody.
			"allowed_mentions": map[string]any{"parse": []string{}},
			"embeds": []any{map[string]any{
				"title": cut(discordEscape(n.headline()), discordTitleChars), "description": cut(text, discordTextChars),
				"color": n.color(), "timestamp": n.Alert.Time.UTC().Format(time.RFC3339), "fields": fields,
			}},
		}
	}, discordEscape)
}

// discordEscape keeps text from being formatted.
func discordEscape(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "~", `\~`, "`", "\\`", "|", `\|`, ">", `\>`, "[", `\[`, "#", `\#`).Replace(text)
}
