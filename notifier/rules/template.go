package rules

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
)

// Template makes a text of an event, with text/template. What it writes is cut
// at maxRendered, and what could take longer is refused when it is read.
type Template struct {
	template *template.Template
}

const (
	// maxTemplateBytes is a page of text.
	maxTemplateBytes = 4 << 10
	// maxRendered is twice what an alert's message may have.
	maxRendered = 16 << 10
)

// Texts are what a template may show besides the event.
type Texts struct {
	// Title and Message are those that the alert would have without a template.
	Title, Message string
	Fingerprint    string
	Rule           string
}

// newTemplate compiles a template.
func newTemplate(text string) (*Template, error) {
	if len(text) > maxTemplateBytes {
		return nil, fmt.Errorf("%d bytes of at most %d", len(text), maxTemplateBytes)
	}
	t, err := template.New("").Funcs(template.FuncMap{"path": path}).Parse(text)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: :"))
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New("define and block are not allowed")
	}
	if t.Tree == nil || t.Root == nil {
		return nil, errors.New("is empty")
	}
	if err := checkNode(t.Root, false); err != nil {
		return nil, err
	}
	lenient(t.Root)
	return &Template{template: t}, nil
}

// checkNode refuses calls of templates, loops within loops, and loops over
// anything but a member of the event.
func checkNode(node parse.Node, inLoop bool) error {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, child := range n.Nodes {
			if err := checkNode(child, inLoop); err != nil {
				return err
			}
		}
	case *parse.IfNode:
		return errors.Join(checkNode(n.List, inLoop), checkNode(n.ElseList, inLoop))
	case *parse.WithNode:
		return errors.Join(checkNode(n.List, inLoop), checkNode(n.ElseList, inLoop))
	case *parse.RangeNode:
		if inLoop {
			return errors.New("a loop within a loop is not allowed")
		}
		if !plainPath(n.Pipe) {
			return errors.New("range takes a member of the event, as in {{range .context.items}}")
		}
		return errors.Join(checkNode(n.List, true), checkNode(n.ElseList, inLoop))
	case *parse.TemplateNode:
		return errors.New("template is not allowed")
	}
	return nil
}

func plainPath(pipe *parse.PipeNode) bool {
	if len(pipe.Cmds) != 1 || len(pipe.Cmds[0].Args) != 1 {
		return false
	}
	_, ok := pipe.Cmds[0].Args[0].(*parse.FieldNode)
	return ok
}

// path follows the names from a value; what is not there is nil.
func path(value any, names ...string) any {
	for _, name := range names {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// lenient makes every path in the tree one that may be missing: .a.b becomes
// (path . "a" "b"), because text/template gives up at the first member that is
// not there.
func lenient(node parse.Node) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, child := range n.Nodes {
				lenient(child)
			}
		}
	case *parse.ActionNode:
		lenientPipe(n.Pipe)
	case *parse.IfNode:
		lenientBranch(&n.BranchNode)
	case *parse.WithNode:
		lenientBranch(&n.BranchNode)
	case *parse.RangeNode:
		lenientBranch(&n.BranchNode)
	}
}

func lenientBranch(n *parse.BranchNode) {
	lenientPipe(n.Pipe)
	lenient(n.List)
	lenient(n.ElseList)
}

func lenientPipe(pipe *parse.PipeNode) {
	for _, cmd := range pipe.Cmds {
		for i, arg := range cmd.Args {
			switch a := arg.(type) {
			case *parse.PipeNode:
				lenientPipe(a)
			case *parse.FieldNode:
				cmd.Args[i] = follow(&parse.DotNode{NodeType: parse.NodeDot, Pos: a.Pos}, a.Pos, a.Ident)
			case *parse.VariableNode:
				if len(a.Ident) > 1 {
					from := &parse.VariableNode{NodeType: parse.NodeVariable, Pos: a.Pos, Ident: a.Ident[:1]}
					cmd.Args[i] = follow(from, a.Pos, a.Ident[1:])
				}
			}
		}
	}
}

// follow is a call of path, in brackets.
func follow(from parse.Node, pos parse.Pos, names []string) parse.Node {
	args := []parse.Node{parse.NewIdentifier("path").SetPos(pos), from}
	for _, name := range names {
		args = append(args, &parse.StringNode{NodeType: parse.NodeString, Pos: pos, Quoted: strconv.Quote(name), Text: name})
	}
	call := &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pos, Args: args}
	return &parse.PipeNode{NodeType: parse.NodePipe, Pos: pos, Cmds: []*parse.CommandNode{call}}
}

// errRender says no more: text/template's own words may quote the event.
var errRender = errors.New("the template cannot be applied to this event")

// Render makes the text.
func (t *Template) Render(e *Event, texts Texts) (text string, err error) {
	defer func() {
		if recover() != nil {
			text, err = "", errRender
		}
	}()
	env := make(map[string]any, len(e.env())+4)
	maps.Copy(env, e.env())
	env["title"], env["message"] = texts.Title, texts.Message
	env["fingerprint"], env["rule"] = texts.Fingerprint, texts.Rule
	var out cutWriter
	if err := t.template.Execute(&out, env); err != nil && !errors.Is(err, io.ErrShortWrite) {
		return "", errRender
	}
	// So nil is written.
	return strings.ReplaceAll(out.text.String(), "<no value>", ""), nil
}

// cutWriter keeps the first maxRendered bytes and then ends the template.
type cutWriter struct{ text strings.Builder }

// Write implements io.Writer.
func (w *cutWriter) Write(p []byte) (int, error) {
	if room := maxRendered - w.text.Len(); len(p) > room {
		w.text.Write(p[:room])
		return room, io.ErrShortWrite
	}
	return w.text.Write(p)
}
