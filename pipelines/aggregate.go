package pipelines

import (
	"fmt"
	"strings"
)

// aggregateField is one field of an aggregate: a function and its argument.
type aggregateField struct {
	name string
	fn   aggregator
	arg  *expression // nil: count()
	typ  Type        // of the result
}

// totals are the running aggregates of one key and window.
type totals []accumulator

// newTotals starts from nothing.
func newTotals(fields []aggregateField) totals {
	out := make(totals, len(fields))
	for i, f := range fields {
		var arg Type
		if f.arg != nil {
			arg = f.arg.typ
		}
		out[i] = f.fn.make(arg)
	}
	return out
}

func (t totals) add(fields []aggregateField, r *record) error {
	for i, f := range fields {
		v := any(true)
		if f.arg != nil {
			var err error
			if v, err = f.arg.eval(r); err != nil {
				return err
			}
		}
		if err := t[i].add(normal(v)); err != nil {
			return fmt.Errorf("field %s: %w", f.name, err)
		}
	}
	return nil
}

// normal folds the widths of numbers that Go's own methods may return.
func normal(v any) any {
	switch v := v.(type) {
	case int64:
		return int(v)
	case int32:
		return int(v)
	case float32:
		return float64(v)
	default:
		return v
	}
}

func (t totals) row(fields []aggregateField) map[string]any {
	row := make(map[string]any, len(fields))
	for i, f := range fields {
		row[f.name] = t[i].result()
	}
	return row
}

// totalsSerde stores totals: the accumulators one behind the other.
type totalsSerde struct{ fields []aggregateField }

func (s totalsSerde) Append(dst []byte, t totals) ([]byte, error) {
	for _, a := range t {
		dst = a.append(dst)
	}
	return dst, nil
}

func (s totalsSerde) Decode(data []byte) (totals, error) {
	t := newTotals(s.fields)
	var err error
	for i := range t {
		if data, err = t[i].decode(data); err != nil {
			return nil, fmt.Errorf("field %s: %w", s.fields[i].name, err)
		}
	}
	if len(data) > 0 {
		return nil, fmt.Errorf("%w: %d bytes too many", errState, len(data))
	}
	return t, nil
}

// aggregateCall compiles a call such as avg(value.ms).
func (c *compiler) aggregateCall(name string, n node, s scope) (aggregateField, bool) {
	f := aggregateField{name: name}
	what := "field " + name
	if !n.isScalar() {
		c.r.errorf(n.at(), "yaml-kind", "write a call such as count() or avg(value.ms)", "%s must be a call, not %s", what, kindName(n.y))
		return f, false
	}
	source := n.y.Value
	open := strings.IndexByte(source, '(')
	if open < 0 || !strings.HasSuffix(strings.TrimSpace(source), ")") {
		c.r.errorf(n.inner(), "aggregate-call", "write a call such as count() or avg(value.ms)", "%s: %q is not a call of an aggregate function", what, source)
		return f, false
	}
	fn := strings.TrimSpace(source[:open])
	all := aggregators()
	var known bool
	if f.fn, known = all[fn]; !known {
		c.r.errorf(n.inner(), "aggregate-call", didYouMean(fn, keys(all)), "%s: there is no aggregate function %s", what, fn)
		return f, false
	}
	inside := strings.TrimSuffix(strings.TrimRight(source[open+1:], " "), ")")
	if !c.argument(&f, fn, n, inside, open+1, what, s) {
		return f, false
	}
	var arg Type
	if f.arg != nil {
		arg = f.arg.typ
	}
	f.typ = f.fn.result(arg)
	return f, true
}

func (c *compiler) argument(f *aggregateField, fn string, n node, inside string, offset int, what string, s scope) bool {
	if strings.TrimSpace(inside) == "" {
		if f.fn.args > 0 {
			c.r.errorf(n.inner(), "aggregate-call", "write "+fn+"(value.…)", "%s: %s needs an argument", what, fn)
			return false
		}
		return true
	}
	want := KindAny
	if f.fn.numeric {
		want = KindFloat
	}
	f.arg = c.compileText(n, inside, offset, what, s, want)
	return f.arg != nil
}
