package pipelines

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"github.com/leatstream/leat/streams"
)

// Key is the key of a record in a pipeline: text, and the window it belongs to
// once it has been aggregated.
type Key struct {
	Text       string
	Start, End int64 // milliseconds since the epoch; both 0 without a window
}

// record is a record in a pipeline. The value is a map[string]any of a type
// known to the linter (JSON), or a string (text).
type record = streams.Rec[Key, any]

// scope is what expressions may name at one place of a document.
type scope struct {
	value    Type
	windowed bool
	params   map[string]Type
}

// env is the scope as the type checker wants it.
func (s scope) env() types.Map {
	m := types.Map{
		"key": types.String, "value": s.value.exprType(), "ts": types.TypeOf(time.Time{}),
		"headers": types.TypeOf(map[string]string{}), "topic": types.String,
		"partition": types.Int, "offset": types.Int,
	}
	params := types.Map{}
	for name, t := range s.params {
		params[name] = t.exprType()
	}
	m["params"] = params
	if s.windowed {
		m["window"] = types.Map{"start": types.TypeOf(time.Time{}), "end": types.TypeOf(time.Time{})}
	}
	return m
}

// expression is a compiled expression. It may be evaluated concurrently.
type expression struct {
	source  string
	program *vm.Program
	typ     Type
	params  map[string]any
}

// evaluator is the reusable part of an evaluation.
type evaluator struct {
	vm  vm.VM
	env map[string]any
}

var evaluators = sync.Pool{New: func() any { return &evaluator{env: make(map[string]any, 9)} }}

// eval evaluates the expression over a record.
func (e *expression) eval(r *record) (any, error) {
	ev := evaluators.Get().(*evaluator)
	defer evaluators.Put(ev)
	ev.env["key"], ev.env["value"], ev.env["params"] = r.Key.Text, r.Value, e.params
	ev.env["ts"], ev.env["topic"] = r.Timestamp(), r.Source.Topic
	ev.env["partition"], ev.env["offset"] = int(r.Source.Partition), int(r.Source.Offset)
	ev.env["headers"] = headers(r)
	if r.Key.End != 0 {
		ev.env["window"] = map[string]any{"start": time.UnixMilli(r.Key.Start).UTC(), "end": time.UnixMilli(r.Key.End).UTC()}
	}
	v, err := ev.vm.Run(e.program, ev.env)
	clear(ev.env)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, fmt.Errorf("%s: %s", e.source, first)
	}
	return v, nil
}

func headers(r *record) map[string]string {
	if len(r.Headers) == 0 {
		return nil
	}
	m := make(map[string]string, len(r.Headers))
	for _, h := range r.Headers {
		m[h.Key] = string(h.Value)
	}
	return m
}

// text evaluates to a string: a string as it is, null as "", anything else as
// the function string makes it.
func (e *expression) text(r *record) (string, error) {
	v, err := e.eval(r)
	if err != nil {
		return "", err
	}
	return toText(v), nil
}

// truth evaluates to a bool; null is false.
func (e *expression) truth(r *record) (bool, error) {
	v, err := e.eval(r)
	if err != nil || v == nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("%s: %v is not true or false", e.source, v)
	}
	return b, nil
}

// toText is what the function string makes of a value.
func toText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case time.Time:
		return v.Format(time.RFC3339Nano)
	default:
		return fmt.Sprint(v)
	}
}

// exprOptions is the language: expr's, without the clock, and with a string
// function which writes times as JSON does.
func exprOptions(env types.Map) []expr.Option {
	return []expr.Option{
		expr.Env(env), expr.DisableBuiltin("now"), expr.DisableBuiltin("string"),
		expr.Function("string", func(args ...any) (any, error) { return toText(args[0]), nil }, new(func(any) string)),
	}
}

// compiler compiles the expressions of one document.
type compiler struct {
	r      *report
	params map[string]any
}

// compile compiles an expression written at n, or reports why not. want limits
// the result: KindBool, KindString, KindFloat for any number, or KindAny.
func (c *compiler) compile(n node, what string, s scope, want Kind) *expression {
	if n.absent() {
		return nil
	}
	if !n.isScalar() {
		c.r.errorf(n.at(), "yaml-kind", "write the expression as one value", "%s must be an expression, not %s", what, kindName(n.y))
		return nil
	}
	return c.compileText(n, n.y.Value, 0, what, s, want)
}

// compileText compiles a part of the scalar at n which begins at byte offset.
func (c *compiler) compileText(n node, source string, offset int, what string, s scope, want Kind) *expression {
	if !c.checkQuoting(n, source, what) {
		return nil
	}
	program, err := expr.Compile(source, exprOptions(s.env())...)
	if err != nil {
		c.reportCompile(n, source, offset, what, s, err)
		return nil
	}
	e := &expression{source: source, program: program, typ: typeOf(program.Node().Type()), params: c.params}
	if !fits(e.typ, want) {
		c.r.errorf(n.inner(), "expr-type", "", "%s must be %s; %q is %s", what, wanted(want), source, e.typ)
		return nil
	}
	return e
}

func fits(t Type, want Kind) bool {
	switch {
	case want == KindAny || t.Kind == KindAny || t.Kind == want:
		return true
	default:
		return want == KindFloat && t.number()
	}
}

func wanted(k Kind) string {
	switch k {
	case KindBool:
		return "true or false (a bool)"
	case KindFloat:
		return "a number"
	case KindTimestamp:
		return "a timestamp"
	default:
		return "a " + string(k)
	}
}

// checkQuoting finds what YAML or expr would take as something else.
func (c *compiler) checkQuoting(n node, source, what string) bool {
	switch {
	case strings.TrimSpace(source) == "":
		c.r.errorf(n.at(), "expr-empty", "", "%s is empty", what)
	case dotted(source):
		c.r.errorf(n.inner(), "expr-reference", "use params.name, or a header", "%s: ${…} is not replaced inside an expression", what)
	case slashes(source):
		c.r.errorf(n.inner(), "expr-quoting", "write int(a / b) for a whole quotient", "%s: // starts a comment in an expression", what)
	case n.y.LineComment != "" && n.y.Style == 0:
		c.r.errorf(n.at(), "expr-quoting", "put the expression in quotes", "%s: YAML cuts the text off at %q", what, n.y.LineComment)
	default:
		return true
	}
	return false
}

// slashes tells whether // stands outside quotes.
func slashes(s string) bool {
	var quote byte
	for i := 0; i < len(s); i++ {
		switch {
		case quote != 0 && s[i] == '\\':
			i++
		case quote != 0:
			if s[i] == quote {
				quote = 0
			}
		case s[i] == '\'' || s[i] == '"' || s[i] == '`':
			quote = s[i]
		case s[i] == '/' && i+1 < len(s) && s[i+1] == '/':
			return true
		}
	}
	return false
}

// reportCompile reports a compile error with the column inside the scalar and,
// for a field nobody declared, the nearest one.
func (c *compiler) reportCompile(n node, source string, offset int, what string, s scope, err error) {
	at := n.inner()
	var e *file.Error
	if !errors.As(err, &e) {
		c.r.errorf(at, "expr", "", "%s: %v", what, err)
		return
	}
	if e.Line <= 1 {
		at.col += offset + e.Column
	} else {
		at.line += e.Line - 1
		at.col = e.Column + 1
	}
	code, fix := "expr", ""
	if name, ok := strings.CutPrefix(e.Message, "unknown field "); ok {
		code, fix = "unknown-field", didYouMean(name, s.candidates(source, name))
	} else if name, ok := strings.CutPrefix(e.Message, "unknown name "); ok {
		code, fix = "unknown-name", s.unknownName(name)
	} else if strings.Contains(e.Message, "mismatched types") {
		code = "expr-type"
	}
	c.r.errorf(at, code, fix, "%s: %s", what, e.Message)
}

// candidates are the fields that may have been meant in source's .name.
func (s scope) candidates(source, name string) []string {
	switch {
	case strings.Contains(source, "params."+name):
		return keys(s.params)
	case strings.Contains(source, "window."+name):
		return []string{"start", "end"}
	default:
		return s.value.names()
	}
}

func (s scope) unknownName(name string) string {
	if name == "now" {
		return "results must not depend on the clock: use ts, the record's time"
	}
	if name == "window" {
		return "only results of an aggregate have a window"
	}
	for _, f := range s.value.names() {
		if f == name {
			return "did you mean value." + name + "?"
		}
	}
	return didYouMean(name, []string{"key", "value", "ts", "headers", "topic", "partition", "offset", "params"})
}
