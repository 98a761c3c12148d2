// Package expression is the small language of conditions in the contact centre: which agents a queue may take
// (skill.sales >= 5 and language == de), where a routing script goes on (vip or waiting("sales") > 20), what a variable is
// set to (price * 2). It is no programming language: no loops, no assignment, no text is ever run as code, and an
// expression that was parsed always has a value, in time bounded by its length. It follows no standard.
//
//	or       = and { "or" and }
//	and      = not { "and" not }
//	not      = [ "not" ] compare
//	compare  = sum [ ( "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "contains" | "begins" ) sum ]
//	sum      = product { ( "+" | "-" ) product }
//	product  = unary { ( "*" | "/" ) unary }
//	unary    = [ "-" ] primary
//	primary  = number | text | "true" | "false" | name | name "(" text ")" | "(" or ")" | "[" or { "," or } "]"
//
// Text stands in double or single quotes. A word that is no known name is text where it is what something is compared with
// (language == de), and a mistake anywhere else. Two values that both read as numbers are compared as numbers, others as
// text. What has no value is false, is the empty text, and is neither less nor greater than anything.
package expression

import (
	"fmt"
	"strings"
)

// Bounds of an expression.
const (
	MaxLength = 1024 // bytes
	maxDepth  = 32   // of brackets
)

// An Expression is a parsed one. It does not change.
type Expression struct {
	source string
	root   *node
	names  []string
	calls  []Call
}

// A Call is a function of an expression with its argument: waiting("sales").
type Call struct{ Function, Argument string }

// Known says which words are names and functions; nil functions: there are none.
type Known struct {
	Names     []string
	Functions []string
	// AnyBelow are prefixes below which every name is known: "caller." for what a lookup brings.
	AnyBelow []string
}

// Env gives names their values.
type Env interface {
	// Variable is the value of a name, the zero Value where it has none.
	Variable(name string) Value
	// Function is the value of a call.
	Function(c Call) Value
}

// Error is a mistake in an expression.
type Error struct {
	Offset  int // in bytes
	Problem string
	// Word is the unknown name or function the Problem is about, empty for others.
	Word string
}

func (e *Error) Error() string {
	return fmt.Sprintf("expression: at character %d: %s", e.Offset+1, e.Problem)
}

// String is the expression as it was written.
func (e *Expression) String() string {
	if e == nil {
		return ""
	}
	return e.source
}

// Names are the names it uses, in the order of their first use; Calls the functions.
func (e *Expression) Names() []string { return e.names }

// Calls are the functions it calls.
func (e *Expression) Calls() []Call { return e.calls }

// Value is what the expression is worth; that of no expression is true, so that an absent condition always holds.
func (e *Expression) Value(env Env) Value {
	if e == nil || e.root == nil {
		return Bool(true)
	}
	return e.root.value(env)
}

// True says whether the condition holds.
func (e *Expression) True(env Env) bool { return e.Value(env).True() }

type op uint8

const (
	opValue op = iota
	opName
	opCall
	opList
	opOr
	opAnd
	opNot
	opNegate
	opEqual
	opUnequal
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opIn
	opContains
	opBegins
	opAdd
	opSubtract
	opMultiply
	opDivide
)

type node struct {
	op    op
	at    int
	is    Value  // opValue
	name  string // opName
	call  Call
	inner []*node
}

func (n *node) value(env Env) Value {
	switch n.op {
	case opValue:
		return n.is
	case opName:
		return env.Variable(n.name)
	case opCall:
		return env.Function(n.call)
	case opOr:
		return Bool(n.inner[0].value(env).True() || n.inner[1].value(env).True())
	case opAnd:
		return Bool(n.inner[0].value(env).True() && n.inner[1].value(env).True())
	case opNot:
		return Bool(!n.inner[0].value(env).True())
	case opNegate:
		if f, ok := n.inner[0].value(env).Number(); ok {
			return Number(-f)
		}
		return Value{}
	case opIn:
		return n.in(env)
	}
	if n.op == opList {
		return Value{}
	}
	return binary(n.op, n.inner[0].value(env), n.inner[1].value(env))
}

func (n *node) in(env Env) Value {
	v := n.inner[0].value(env)
	for _, x := range n.inner[1].inner {
		if compare(v, x.value(env)) == 0 {
			return Bool(true)
		}
	}
	return Bool(false)
}

func binary(o op, a, b Value) Value {
	switch o {
	case opEqual:
		return Bool(compare(a, b) == 0)
	case opUnequal:
		return Bool(compare(a, b) != 0)
	case opContains:
		return Bool(strings.Contains(a.String(), b.String()))
	case opBegins:
		return Bool(strings.HasPrefix(a.String(), b.String()))
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		return order(o, a, b)
	case opAdd:
		x, okX := a.Number()
		y, okY := b.Number()
		if okX && okY {
			return Number(x + y)
		}
		return Text(a.String() + b.String())
	}
	x, okX := a.Number()
	y, okY := b.Number()
	switch {
	case !okX || !okY:
		return Value{}
	case o == opSubtract:
		return Number(x - y)
	case o == opMultiply:
		return Number(x * y)
	case y == 0: // opDivide
		return Value{}
	}
	return Number(x / y)
}

func order(o op, a, b Value) Value {
	if a.IsZero() || b.IsZero() {
		return Bool(false)
	}
	c := compare(a, b)
	switch o {
	case opLess:
		return Bool(c < 0)
	case opLessEqual:
		return Bool(c <= 0)
	case opGreater:
		return Bool(c > 0)
	}
	return Bool(c >= 0)
}
