package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Values are the parsed settings of one Def. Asking for a key that the Def
// does not declare, or as another type, is a programming error and panics.
type Values struct {
	values map[string]any
	given  map[string]bool
}

// Given reports whether the key was set, not defaulted.
func (v *Values) Given(name string) bool { return v.given[name] }

// String reads a STRING, CLASS or PASSWORD key; null reads as "".
func (v *Values) String(name string) string {
	if x := v.get(name); x != nil {
		return x.(string)
	}
	return ""
}

// Int reads an INT or SHORT key.
func (v *Values) Int(name string) int { return v.get(name).(int) }

// Long reads a LONG key.
func (v *Values) Long(name string) int64 { return v.get(name).(int64) }

// Double reads a DOUBLE key.
func (v *Values) Double(name string) float64 { return v.get(name).(float64) }

// Bool reads a BOOLEAN key.
func (v *Values) Bool(name string) bool { return v.get(name).(bool) }

// List reads a LIST key; null reads as empty.
func (v *Values) List(name string) []string {
	if x := v.get(name); x != nil {
		return x.([]string)
	}
	return nil
}

// Millis reads a LONG key in milliseconds as a duration; negative values stay negative.
func (v *Values) Millis(name string) time.Duration {
	return time.Duration(v.Long(name)) * time.Millisecond
}

func (v *Values) get(name string) any {
	x, ok := v.values[name]
	if !ok {
		panic("config: key " + name + " is not declared")
	}
	return x
}

// parse turns the text of a property into the Go type of t:
// bool, string, int, int64, float64 or []string.
func parse(t Type, raw string) (any, error) {
	s := strings.TrimSpace(raw)
	switch t {
	case Boolean:
		switch strings.ToLower(s) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		//lint:ignore ST1005 the text is Kafka's
		return nil, errors.New("Expected value to be either true or false")
	case Int:
		return parseInt(s, 32, t)
	case Short:
		return parseInt(s, 16, t)
	case Long:
		n, err := strconv.ParseInt(s, 10, 64)
		return n, notANumber(err, t)
	case Double:
		f, err := strconv.ParseFloat(s, 64)
		return f, notANumber(err, t)
	case List:
		return splitList(s), nil
	case Password:
		return raw, nil
	}
	return s, nil
}

func parseInt(s string, bits int, t Type) (any, error) {
	n, err := strconv.ParseInt(s, 10, bits)
	return int(n), notANumber(err, t)
}

func notANumber(err error, t Type) error {
	if err == nil {
		return nil
	}
	//lint:ignore ST1005 the text is Kafka's
	return fmt.Errorf("Not a number of type %s", t)
}

func splitList(s string) []string {
	if s == "" {
		return []string{}
	}
	parts := strings.Split(s, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// AtLeast checks that a number is not below lo.
func AtLeast(lo float64) Check {
	return func(v any) error {
		if number(v) < lo {
			return fmt.Errorf("Value must be at least %v", lo)
		}
		return nil
	}
}

// Between checks that a number lies in [lo, hi].
func Between(lo, hi float64) Check {
	return func(v any) error {
		n := number(v)
		if n < lo {
			return fmt.Errorf("Value must be at least %v", lo)
		}
		if n > hi {
			return fmt.Errorf("Value must be no more than %v", hi)
		}
		return nil
	}
}

// OneOf checks that a string is one of the given ones, ignoring case.
func OneOf(allowed ...string) Check {
	return func(v any) error {
		for _, a := range allowed {
			if strings.EqualFold(a, v.(string)) {
				return nil
			}
		}
		return fmt.Errorf("String must be one of (case insensitive): %s", strings.Join(allowed, ", "))
	}
}

// NonEmpty checks that a string or list is not empty.
func NonEmpty(v any) error {
	if s, ok := v.(string); ok && s == "" {
		return errors.New("String must be non-empty")
	}
	if l, ok := v.([]string); ok && len(l) == 0 {
		return errors.New("List must be non-empty")
	}
	return nil
}

// Regex checks that a string is a regular expression; the empty string passes.
func Regex(v any) error {
	if _, err := regexp.Compile(v.(string)); err != nil {
		//lint:ignore ST1005 the text is Kafka's
		return fmt.Errorf("Invalid regex: %w", err)
	}
	return nil
}

func number(v any) float64 {
	switch n := v.(type) {
	case int:
		return float64(n)
	case int64:
		return float64(n)
	case float64:
		return n
	}
	panic(fmt.Sprintf("config: number check on a %T", v))
}
