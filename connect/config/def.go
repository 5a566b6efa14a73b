package config

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// ErrInvalid is wrapped by the error that Parse returns.
var ErrInvalid = errors.New("config: invalid configuration")

// Type is the type of a key, spelled as the REST API spells it.
type Type string

// The types of keys.
const (
	Boolean  Type = "BOOLEAN"
	String   Type = "STRING"
	Int      Type = "INT"
	Short    Type = "SHORT"
	Long     Type = "LONG"
	Double   Type = "DOUBLE"
	List     Type = "LIST"  // comma-separated, blanks trimmed, "" is the empty list
	Class    Type = "CLASS" // a plugin's name or alias
	Password Type = "PASSWORD"
)

// Importance tells readers of the documentation what to set first.
type Importance string

// The levels of importance.
const (
	High   Importance = "HIGH"
	Medium Importance = "MEDIUM"
	Low    Importance = "LOW"
)

// Key declares one setting.
type Key struct {
	Name       string
	Type       Type
	Default    any  // of the Go type that the Type parses to; nil with Required false means null
	Required   bool // no default: must be given
	Check      Check
	Importance Importance // "" is MEDIUM
	Doc        string
	Group      string
	Width      string // SHORT, MEDIUM or LONG; a hint for forms
	Display    string
	Dependents []string
}

// Check judges a parsed value; its error text follows "Invalid value v for configuration k: ".
type Check func(v any) error

// Def is an ordered set of keys. The zero value is not usable; see New.
type Def struct {
	keys  []Key
	index map[string]int
}

// New builds a Def. Two keys of one name are a programming error and panic.
func New(keys ...Key) *Def {
	d := &Def{index: make(map[string]int, len(keys))}
	return d.With(keys...)
}

// With returns a Def with the given keys appended; the receiver is unchanged.
func (d *Def) With(keys ...Key) *Def {
	n := &Def{keys: append(append([]Key(nil), d.keys...), keys...), index: make(map[string]int, len(d.keys)+len(keys))}
	for i, k := range n.keys {
		if _, dup := n.index[k.Name]; dup {
			panic("config: key " + k.Name + " declared twice")
		}
		n.index[k.Name] = i
	}
	return n
}

// Keys lists the keys in declared order.
func (d *Def) Keys() []Key { return append([]Key(nil), d.keys...) }

// Lookup finds a key by name.
func (d *Def) Lookup(name string) (Key, bool) {
	i, ok := d.index[name]
	if !ok {
		return Key{}, false
	}
	return d.keys[i], true
}

// Parse reads every declared key from props; other entries are ignored.
// All problems are reported at once in an error that wraps ErrInvalid.
func (d *Def) Parse(props map[string]string) (*Values, error) {
	v := &Values{values: make(map[string]any, len(d.keys)), given: make(map[string]bool)}
	var problems []string
	for _, k := range d.keys {
		val, given, err := k.read(props)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		v.values[k.Name] = val
		v.given[k.Name] = given
	}
	if len(problems) > 0 {
		return nil, &Error{Problems: problems}
	}
	return v, nil
}

// Error holds every problem found in one configuration; it wraps ErrInvalid.
type Error struct{ Problems []string }

// Error joins the problems with "; ".
func (e *Error) Error() string { return strings.Join(e.Problems, "; ") }

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (e *Error) Unwrap() error { return ErrInvalid }

// Value is the verdict on one key, in the shape of the REST API's validate answer.
type Value struct {
	Name        string
	Value       any
	Recommended []any
	Errors      []string
	Visible     bool
}

// Validate judges every declared key; it never fails.
func (d *Def) Validate(props map[string]string) []Value {
	out := make([]Value, 0, len(d.keys))
	for _, k := range d.keys {
		v := Value{Name: k.Name, Visible: true}
		val, _, err := k.read(props)
		if err != nil {
			v.Errors = []string{err.Error()}
		} else {
			v.Value = val
		}
		out = append(out, v)
	}
	return out
}

// Unknown lists the entries of props that no key declares, sorted.
// Keys below one of the prefixes are taken as known.
func (d *Def) Unknown(props map[string]string, prefixes ...string) []string {
	var out []string
next:
	for name := range props {
		if _, ok := d.index[name]; ok {
			continue
		}
		for _, p := range prefixes {
			if strings.HasPrefix(name, p) {
				continue next
			}
		}
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

func (k Key) read(props map[string]string) (val any, given bool, err error) {
	raw, given := props[k.Name]
	if !given {
		if k.Required {
			//lint:ignore ST1005 the text is Kafka's
			return nil, false, fmt.Errorf("Missing required configuration \"%s\" which has no default value.", k.Name)
		}
		return k.Default, false, nil
	}
	val, err = parse(k.Type, raw)
	if err != nil {
		//lint:ignore ST1005 the text is Kafka's
		return nil, true, fmt.Errorf("Invalid value %s for configuration %s: %w", shown(k.Type, raw), k.Name, err)
	}
	if k.Check != nil {
		if err := k.Check(val); err != nil {
			//lint:ignore ST1005 the text is Kafka's
			return nil, true, fmt.Errorf("Invalid value %s for configuration %s: %w", shown(k.Type, raw), k.Name, err)
		}
	}
	return val, true, nil
}

func shown(t Type, raw string) string {
	if t == Password {
		return "[hidden]"
	}
	return raw
}
