package message

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrFilter marks an expression that does not compile or is no condition.
var ErrFilter = errors.New("filter")

// filterMemory bounds what one evaluation may allocate, in expr's own units.
const filterMemory = 1_000_000

// Env is what an expression sees. Key and value are decoded JSON when they are
// JSON, and text otherwise.
type Env struct {
	Key       any               `expr:"key"`
	Value     any               `expr:"value"`
	Headers   map[string]string `expr:"headers"`
	Timestamp time.Time         `expr:"ts"`
	Topic     string            `expr:"topic"`
	Partition int               `expr:"partition"`
	Offset    int               `expr:"offset"`
}

// Filter decides which records a user wants to see.
type Filter struct {
	program   *vm.Program
	needKey   bool // fields that are costly to decode, only when named
	needValue bool
	machines  sync.Pool
}

// CompileFilter checks and compiles a condition such as
// `value.amount > 900 && topic == "orders"`. The empty text matches everything.
func CompileFilter(text string) (*Filter, error) {
	if text == "" {
		return &Filter{}, nil
	}
	program, err := expr.Compile(text, expr.Env(Env{}), expr.AsBool())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFilter, err)
	}
	tree, err := parser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFilter, err)
	}
	f := &Filter{program: program}
	ast.Walk(&tree.Node, f)
	return f, nil
}

// Visit notes which fields the expression names; "$env" may name any.
func (f *Filter) Visit(node *ast.Node) {
	id, ok := (*node).(*ast.IdentifierNode)
	if !ok {
		return
	}
	f.needKey = f.needKey || id.Value == "key" || id.Value == "$env"
	f.needValue = f.needValue || id.Value == "value" || id.Value == "$env"
}

// Match reports whether r passes. An error means that the expression does not
// fit this record, for instance a field of a value that is no object; the
// record then does not match. A nil filter lets all pass.
func (f *Filter) Match(r *kgo.Record) (bool, error) {
	if f == nil || f.program == nil {
		return true, nil
	}
	env := Env{Timestamp: r.Timestamp, Topic: r.Topic, Partition: int(r.Partition), Offset: int(r.Offset)}
	if f.needKey {
		env.Key = decode(r.Key)
	}
	if f.needValue {
		env.Value = decode(r.Value)
	}
	if len(r.Headers) > 0 {
		env.Headers = make(map[string]string, len(r.Headers))
		for _, h := range r.Headers {
			env.Headers[h.Key] = string(h.Value)
		}
	}
	machine, _ := f.machines.Get().(*vm.VM)
	if machine == nil {
		machine = &vm.VM{MemoryBudget: filterMemory}
	}
	defer f.machines.Put(machine)
	out, err := machine.Run(f.program, env)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrFilter, err)
	}
	matched, _ := out.(bool)
	return matched, nil
}

func decode(b []byte) any {
	if b == nil {
		return nil
	}
	var v any
	if json.Unmarshal(b, &v) == nil {
		return v
	}
	return string(b)
}
