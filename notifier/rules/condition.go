package rules

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"
)

// Condition is an expression of expr-lang over the clean event. It costs at most
// its size times the event's: what could cost more is refused when it is read.
type Condition struct {
	text    string
	program *vm.Program
}

const (
	// maxConditionBytes is a page of text.
	maxConditionBytes = 4 << 10
	// maxConditionNodes is some fifty comparisons.
	maxConditionNodes = 500
	// memoryBudget is expr's own unit: elements of lists and bytes of texts made
	// on the way.
	memoryBudget = 1_000_000
)

// functions are what a condition may call: each looks at its arguments once.
var functions = []string{
	"all", "none", "any", "one", "count", "filter", "map", "find", "len", "type", "int", "float", "string", "abs",
	"trim", "trimPrefix", "trimSuffix", "upper", "lower", "split", "hasPrefix", "hasSuffix", "indexOf", "lastIndexOf",
	"first", "last", "get", "keys", "values", "max", "min", "sum",
}

// newCondition compiles an expression.
func newCondition(text string) (*Condition, error) {
	if len(text) > maxConditionBytes {
		return nil, fmt.Errorf("%d bytes of at most %d", len(text), maxConditionBytes)
	}
	limits := &limits{}
	options := []expr.Option{
		expr.Env(map[string]any{}), expr.AllowUndefinedVariables(), expr.AsBool(),
		expr.MaxNodes(maxConditionNodes), expr.DisableAllBuiltins(), expr.Patch(limits),
	}
	for _, name := range functions {
		options = append(options, expr.EnableBuiltin(name))
	}
	program, err := compile(text, options)
	if err != nil {
		return nil, err
	}
	if limits.err != nil {
		return nil, limits.err
	}
	return &Condition{text: text, program: program}, nil
}

// compile keeps a panic of the compiler from ending the service at a reload.
func compile(text string, options []expr.Option) (program *vm.Program, err error) {
	defer func() {
		if recover() != nil {
			program, err = nil, errors.New("cannot be compiled")
		}
	}()
	return expr.Compile(text, options...)
}

var errCondition = errors.New("the condition cannot be applied to this event")

// holds applies the condition. Words of its own: expr's may quote the event.
func (c *Condition) holds(e *Event) (ok bool, err error) {
	defer func() {
		if recover() != nil {
			ok, err = false, errCondition
		}
	}()
	machine := vm.VM{MemoryBudget: memoryBudget}
	result, err := machine.Run(c.program, e.env())
	if err != nil {
		return false, errCondition
	}
	ok, _ = result.(bool)
	return ok, nil
}

// limits refuses what costs more than the event is large, and makes every path
// one that may be missing.
type limits struct {
	err error
}

// Visit implements ast.Visitor; a node comes after those in it.
func (l *limits) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BinaryNode:
		switch n.Operator {
		case "..":
			l.err = errors.New("a range (..) is not allowed")
		case "matches":
			if _, ok := n.Right.(*ast.StringNode); !ok {
				l.err = errors.New("the pattern of matches must be a text in quotes")
			}
		}
	case *ast.BuiltinNode:
		for _, argument := range n.Arguments {
			if p, ok := argument.(*ast.PredicateNode); ok && loops(p.Node) {
				l.err = fmt.Errorf("%s: a loop within a loop is not allowed", n.Name)
			}
		}
	case *ast.CallNode:
		l.err = errors.New("there is no such function; known are " + strings.Join(functions, ", "))
	case *ast.VariableDeclaratorNode:
		l.err = errors.New("let is not allowed")
	case *ast.MemberNode:
		if n.Method {
			l.err = errors.New("calling a method is not allowed")
			return
		}
		n.Optional = true
		ast.Patch(node, &ast.ChainNode{Node: n})
	}
}

// loops tells whether there is a loop in the node.
func loops(node ast.Node) bool {
	f := &loopFinder{}
	ast.Walk(&node, f)
	return f.found
}

type loopFinder struct{ found bool }

// Visit implements ast.Visitor.
func (f *loopFinder) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BuiltinNode:
		f.found = true // any of them looks at all of what it is given
	case *ast.CallNode:
		f.found = true
	case *ast.BinaryNode:
		f.found = f.found || n.Operator == "in" || n.Operator == "not in"
	}
}
