package receiver

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"text/template"
	"time"

	"go.yaml.in/yaml/v3"

	"sluice/schemas"
)

// A template sees the alert's CloudEvent as it is documented, {{.data.title}},
// and .state: firing, update or resolved.

var templateFuncs = template.FuncMap{
	"json": func(v any) (string, error) {
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		err := enc.Encode(v)
		return strings.TrimSuffix(buf.String(), "\n"), err
	},
	"upper":    strings.ToUpper,
	"lower":    strings.ToLower,
	"truncate": func(limit int, text string) string { return cut(text, max(limit, 1)) },
	"get":      get,
}

// get returns what stands at a path such as "data.event.context.message", ""
// where there is nothing.
func get(from any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		object, _ := from.(map[string]any)
		if from = object[name]; from == nil {
			return ""
		}
	}
	return from
}

// template reads a template and tries it on a sample.
func (d *definition) template(node *yaml.Node, key string) *template.Template {
	text := d.text(node, key)
	t, err := template.New(key).Option("missingkey=error").Funcs(templateFuncs).Parse(text)
	if err == nil {
		_, err = execute(t, sampleNotice)
	}
	if err != nil {
		d.wrongf(node, key, "%v", err)
		return nil
	}
	return t
}

var sampleNotice = func() Notice {
	alert := Sample("6ba7b810-9dad-11d1-80b4-00c04fd430c8", time.Unix(1_772_366_400, 0))
	body, err := json.Marshal(alert)
	if err != nil {
		panic(err) // it is a constant
	}
	return Notice{Alert: alert, Body: body}
}()

// render executes a template on a notice and redacts the text.
func (n Notice) render(t *template.Template) (string, error) {
	text, err := execute(t, n)
	if err != nil {
		return "", refused("template " + t.Name() + " does not fit this alert; get returns \"\" for what is missing")
	}
	return n.redactText(text)
}

func execute(t *template.Template, n Notice) (string, error) {
	dec := json.NewDecoder(bytes.NewReader(n.Body))
	dec.UseNumber()
	var dot map[string]any
	if err := dec.Decode(&dot); err != nil {
		return "", err
	}
	integers(dot)
	dot["state"] = n.state()
	out := limited{left: schemas.MaxPayloadBytes}
	err := t.Execute(&out, dot)
	return out.String(), err
}

// integers makes numbers of json.Number, so that templates can compare them and
// no count is printed as 1e+06.
func integers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = integers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String()
	}
	return v
}

// limited is a buffer that refuses to grow without end.
type limited struct {
	bytes.Buffer
	left int
}

var errTooLong = errors.New("it renders more than 4 MiB")

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errTooLong
	}
	return l.Buffer.Write(p)
}
