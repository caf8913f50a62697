package receiver

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"strings"
)

// thread names the trouble that a mail is about: all of its mails refer to a mail
// of this id, which need not exist to bring them together.
func (n Notice) thread() string {
	d := n.Alert.Data
	sum := sha256.Sum256([]byte(d.Tenant + "\x00" + d.Action + "\x00" + d.Fingerprint))
	return "trouble-" + hex.EncodeToString(sum[:16])
}

var emailPage = template.Must(template.New("email").Parse(
	`<!DOCTYPE html><html><body style="font-family:sans-serif">` +
		`<p style="border-left:6px solid {{.Color}};padding-left:10px;font-size:large">{{.Headline}}</p>` +
		`<table>{{range .Facts}}<tr><td style="color:#666;padding-right:12px">{{.Name}}</td><td>{{.Value}}</td></tr>{{end}}</table>` +
		`<pre style="white-space:pre-wrap">{{.Text}}</pre></body></html>` + "\n"))

// html is the alert as a page; everything in it is escaped. With a text of the
// operator's own it shows that.
func (n Notice) html(text string) (string, error) {
	type row struct{ Name, Value string }
	page := struct {
		Color          template.CSS
		Headline, Text string
		Facts          []row
	}{Color: template.CSS(fmt.Sprintf("#%06x", n.color())), Headline: n.headline(), Text: text} //nolint:gosec // a number
	for _, f := range n.facts() {
		page.Facts = append(page.Facts, row{f.name, f.value})
	}
	var b strings.Builder
	if err := emailPage.Execute(&b, page); err != nil {
		return "", refused("the alert cannot be rendered")
	}
	return n.redactText(b.String())
}
