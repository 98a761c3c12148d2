package interpreter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/parser"
)

// A scope is one of VoiceXML 2.0, section 5.1.2: session, application, document, dialog or anonymous. Its object has no prototype, so that a
// name that nobody declared is not found in it; the scopes of a place are put around what is evaluated there as `with` statements.
type scope struct {
	object *goja.Object
	parent *scope
}

// chain lists the objects from s outwards, the outermost first.
func (s *scope) chain() []*goja.Object {
	var out []*goja.Object
	for ; s != nil; s = s.parent {
		out = append(out, s.object)
	}
	slices.Reverse(out)
	return out
}

// errRunaway ends a session whose scripts do not end.
var errRunaway = errors.New("scripts ran longer than the limit without waiting for the caller")

// ecma is the ECMAScript of one session.
type ecma struct {
	vm        *goja.Runtime
	ctx       context.Context
	limits    Limits
	used      time.Duration // by scripts since the caller was last waited for
	functions map[string]function
}

// function is a piece of source made callable once, with the names it declares at its top.
type function struct {
	call  goja.Callable
	names []string
}

// maxSource bounds one piece of ECMAScript: what nests deeper than the compiler can follow does not fit in it.
const (
	maxSource    = 256 << 10
	maxBrackets  = 250
	maxFunctions = 2_000
)

func newECMA(ctx context.Context, limits Limits) *ecma {
	e := &ecma{vm: goja.New(), ctx: ctx, limits: limits, functions: map[string]function{}}
	e.vm.SetMaxCallStackSize(limits.CallStack)
	e.vm.SetParserOptions(parser.WithDisableSourceMaps)
	return e
}

// newScope makes a scope within parent, which its variables can also be reached by under the names given.
func (e *ecma) newScope(parent *scope, names ...string) *scope {
	s := &scope{object: e.vm.CreateObject(nil), parent: parent}
	for _, name := range names {
		e.setHidden(s.object, name, s.object)
	}
	return s
}

// setHidden defines a property that is neither listed nor counted.
func (e *ecma) setHidden(o *goja.Object, name string, value goja.Value) {
	_ = e.guard(func() error {
		return o.DefineDataProperty(name, value, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	})
}

// guard runs f, in which ECMAScript may run: bounded in time, and whatever goes wrong in it is an error.
func (e *ecma) guard(f func() error) (err error) {
	left := e.limits.Script - e.used
	if left <= 0 {
		return errRunaway
	}
	began := time.Now()
	fired := make(chan struct{})
	timer := time.AfterFunc(left, func() { e.vm.Interrupt(errRunaway); close(fired) })
	stop := context.AfterFunc(e.ctx, func() { e.vm.Interrupt(context.Cause(e.ctx)) })
	defer func() {
		if r := recover(); r != nil { // goja throws what scripts throw
			err = recovered(r)
		}
		if !timer.Stop() {
			<-fired
		}
		stop()
		e.used += time.Since(began)
		if e.ctx.Err() == nil {
			e.vm.ClearInterrupt()
		}
		var interrupted *goja.InterruptedError
		if errors.As(err, &interrupted) {
			if cause, ok := interrupted.Value().(error); ok {
				err = cause
			}
		}
	}()
	return f()
}

func recovered(r any) error {
	switch r := r.(type) {
	case *goja.Exception:
		return r
	case *goja.InterruptedError:
		return r
	case goja.Value:
		return errors.New(r.String())
	case error:
		return r
	}
	return fmt.Errorf("%v", r)
}

// expression evaluates src within s.
func (e *ecma) expression(s *scope, src string) (goja.Value, error) {
	return e.run("expression", s, src, nil)
}

// script runs src within s: its variables and functions become those of the scope s. It came from the line of a file, which its errors name.
func (e *ecma) script(s *scope, src, file string, line int) error {
	_, err := e.run("script "+file+"|"+strconv.Itoa(line), s, src, nil)
	return err
}

// assign gives the variable or property a value; its name must be one that was declared.
func (e *ecma) assign(s *scope, name string, value goja.Value) error {
	if !variablePath.MatchString(name) {
		return fmt.Errorf("%q is no variable", name)
	}
	base := name
	if i := strings.IndexAny(name, ".["); i >= 0 {
		base = name[:i]
	}
	if base == "session" {
		return errors.New("the session scope cannot be written to")
	}
	if s.holder(base) == nil {
		return fmt.Errorf("variable %q was not declared", base)
	}
	_, err := e.run("assign", s, name, value)
	return err
}

var (
	variableName = regexp.MustCompile(`^[A-Za-z_$\x{80}-\x{FFFF}][A-Za-z0-9_$\x{80}-\x{FFFF}]*$`)
	variablePath = regexp.MustCompile(`^[A-Za-z_$\x{80}-\x{FFFF}][A-Za-z0-9_$\x{80}-\x{FFFF}]*(\.[A-Za-z_$\x{80}-\x{FFFF}][A-Za-z0-9_$\x{80}-\x{FFFF}]*|\[[0-9]+\]|\['[^'\\]*'\])*$`)
)

// reserved are names that no document may declare.
var reserved = []string{"session", "application", "document", "dialog", "var", "function", "if", "else", "for", "while", "with", "new", "delete", "this", "typeof", "return", "null", "true",
	"false", "in", "void", "do", "break", "continue", "switch", "case", "default", "throw", "try", "catch", "finally", "instanceof", "class", "const", "enum", "export", "extends", "import", "super"}

// declare makes a variable of the scope s.
func (e *ecma) declare(s *scope, name string, value goja.Value) error {
	if !variableName.MatchString(name) || slices.Contains(reserved, name) {
		return fmt.Errorf("%q cannot be declared: it is no name of a variable", name)
	}
	return e.guard(func() error {
		if len(s.object.Keys()) >= e.limits.Variables && s.object.Get(name) == nil {
			return fmt.Errorf("more than %d variables in one scope", e.limits.Variables)
		}
		return s.object.Set(name, value)
	})
}

// holder finds the innermost scope that has a variable of this name.
func (s *scope) holder(name string) *scope {
	for ; s != nil; s = s.parent {
		if s.object.Get(name) != nil {
			return s
		}
	}
	return nil
}

func (e *ecma) run(kind string, s *scope, src string, value goja.Value) (out goja.Value, err error) {
	chain := s.chain()
	err = e.guard(func() error {
		f, err := e.function(kind, len(chain), src)
		if err != nil {
			return err
		}
		args := make([]goja.Value, 0, len(chain)+1)
		for _, o := range chain {
			args = append(args, o)
		}
		for _, name := range f.names {
			if s.object.Get(name) == nil {
				if err := s.object.Set(name, goja.Undefined()); err != nil {
					return err
				}
			}
		}
		if value == nil {
			value = goja.Undefined()
		}
		out, err = f.call(goja.Undefined(), append(args, value)...)
		return errors.Join(err, e.adopt(s))
	})
	return out, err
}

// adopt moves what a script made global by assigning to a name nobody had declared into the scope it ran in, and counts the scope.
func (e *ecma) adopt(s *scope) error {
	global := e.vm.GlobalObject()
	for _, name := range global.Keys() {
		value := global.Get(name)
		if err := errors.Join(global.Delete(name), s.object.Set(name, value)); err != nil {
			return err
		}
	}
	if n := len(s.object.Keys()); n > e.limits.Variables {
		return fmt.Errorf("%d variables in one scope; at most %d may be", n, e.limits.Variables)
	}
	return nil
}

// function compiles src once for each depth of scopes.
func (e *ecma) function(kind string, depth int, src string) (function, error) {
	key := kind + strconv.Itoa(depth) + ":" + src
	if f, ok := e.functions[key]; ok {
		return f, nil
	}
	if err := tooDeep(src); err != nil {
		return function{}, err
	}
	body, names := "", []string(nil)
	file := strings.TrimPrefix(kind, "script ")
	switch kind {
	case "expression":
		file, body = "", "return (\n"+src+"\n);"
		if _, err := parser.ParseFile(nil, "", "("+src+"\n)", 0, parser.WithDisableSourceMaps); err != nil {
			return function{}, err // with a position in the expression itself
		}
	case "assign":
		file, body = "", src+"=__value;"
	default:
		program, err := parser.ParseFile(nil, file, src, 0, parser.WithDisableSourceMaps)
		if err != nil {
			return function{}, err
		}
		d := declarationsOf(program)
		names = slices.Concat(d.vars, d.functions, d.lexical)
		inner := fmt.Sprintf("__s%d", depth-1)
		for _, name := range d.functions {
			body += inner + "." + name + "=" + name + ";"
		}
		if body += src + "\n"; len(d.lexical) > 0 {
			for _, name := range d.lexical {
				body += ";" + inner + "." + name + "=" + name
			}
		}
	}
	var head, tail strings.Builder
	head.WriteString("(function(")
	for i := range depth {
		fmt.Fprintf(&head, "__s%d,", i)
	}
	head.WriteString("__value){")
	for i := range depth {
		fmt.Fprintf(&head, "with(__s%d){", i)
		tail.WriteByte('}')
	}
	program, err := goja.Compile(file, head.String()+body+tail.String()+"})", false)
	if err != nil {
		return function{}, err
	}
	value, err := e.vm.RunProgram(program)
	if err != nil {
		return function{}, err
	}
	call, ok := goja.AssertFunction(value)
	if !ok {
		return function{}, errors.New("what was compiled is no function")
	}
	if len(e.functions) >= maxFunctions {
		clear(e.functions)
	}
	e.functions[key] = function{call: call, names: names}
	return e.functions[key], nil
}

// tooDeep refuses source the compiler, which recurses, could not follow.
func tooDeep(src string) error {
	if len(src) > maxSource {
		return fmt.Errorf("ECMAScript of %d bytes; at most %d are compiled", len(src), maxSource)
	}
	depth, run := 0, 0
	for i := 0; i < len(src); i++ {
		switch src[i] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		}
		if strings.IndexByte("!~+-", src[i]) >= 0 {
			run++
		} else if src[i] != ' ' {
			run = 0
		}
		if depth > maxBrackets || run > maxBrackets {
			return fmt.Errorf("ECMAScript nested deeper than %d", maxBrackets)
		}
	}
	return nil
}

// declarations are the names a script declares at its top.
type declarations struct{ vars, functions, lexical []string }

func declarationsOf(p *ast.Program) (d declarations) {
	for _, v := range p.DeclarationList {
		d.vars = append(d.vars, boundNames(v.List)...)
	}
	for _, s := range p.Body {
		switch s := s.(type) {
		case *ast.FunctionDeclaration:
			if s.Function != nil && s.Function.Name != nil {
				d.functions = append(d.functions, s.Function.Name.Name.String())
			}
		case *ast.LexicalDeclaration:
			d.lexical = append(d.lexical, boundNames(s.List)...)
		case *ast.ClassDeclaration:
			if s.Class != nil && s.Class.Name != nil {
				d.lexical = append(d.lexical, s.Class.Name.Name.String())
			}
		}
	}
	return d
}

func boundNames(list []*ast.Binding) []string {
	var out []string
	for _, b := range list {
		if id, ok := b.Target.(*ast.Identifier); ok {
			out = append(out, id.Name.String())
		}
	}
	return out
}

// text gives a value as a string, as ECMAScript would, within the limit of one value.
func (e *ecma) text(v goja.Value) (out string, err error) {
	err = e.guard(func() error {
		if v == nil {
			v = goja.Undefined()
		}
		if out = v.String(); len(out) > e.limits.Value {
			return fmt.Errorf("a value of %d bytes; at most %d may be", len(out), e.limits.Value)
		}
		return nil
	})
	return out, err
}

// outward gives a value as it leaves the session: the string of a primitive, JSON of an object.
func (e *ecma) outward(v goja.Value) (string, error) {
	o, ok := v.(*goja.Object)
	if !ok || o.ClassName() == "Date" || o.ClassName() == "String" || o.ClassName() == "Number" || o.ClassName() == "Boolean" {
		return e.text(v)
	}
	var raw []byte
	err := e.guard(func() (err error) {
		raw, err = json.Marshal(o)
		if err == nil && len(raw) > e.limits.Value {
			err = fmt.Errorf("a value of %d bytes; at most %d may be", len(raw), e.limits.Value)
		}
		return err
	})
	return string(raw), err
}

// truth evaluates a condition.
func (e *ecma) truth(s *scope, src string) (out bool, err error) {
	v, err := e.expression(s, src)
	if err != nil {
		return false, err
	}
	return v.ToBoolean(), nil
}

// defined reports whether a value is neither missing nor undefined.
func defined(v goja.Value) bool { return v != nil && !goja.IsUndefined(v) }

// lineOf tells in which line an error of a script is: of a file, when it came from a script, as FILE:LINE; else of its source, from 1. 0: not
// known.
func lineOf(err error) (file string, line int) {
	name := ""
	var list parser.ErrorList
	var thrown *goja.Exception
	if errors.As(err, &list) && len(list) > 0 {
		name, line = list[0].Position.Filename, list[0].Position.Line
	} else if errors.As(err, &thrown) && len(thrown.Stack()) > 0 {
		at := thrown.Stack()[0].Position()
		name, line = at.Filename, at.Line
	}
	origin, first, _ := strings.Cut(name, "|")
	if n, err := strconv.Atoi(first); err == nil && n > 0 && line > 0 {
		return origin + ":" + strconv.Itoa(n+line-1), 0
	}
	return "", line
}

// brief gives the message of a script's error without goja's stack.
func brief(err error) string {
	var list parser.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		return "SyntaxError: " + list[0].Message
	}
	var thrown *goja.Exception
	if errors.As(err, &thrown) && thrown.Value() != nil {
		text, _, _ := strings.Cut(thrown.Value().String(), "\n")
		return text
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}
