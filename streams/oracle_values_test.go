package streams_test

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/leatstream/leat/streams"
	"github.com/leatstream/leat/streams/serde"
)

// value is a value of a case: null, a string or an int64.
type value struct {
	null, long bool
	s          string
	n          int64
}

func str(s string) value     { return value{s: s} }
func long(n int64) value     { return value{long: true, n: n} }
func null(isLong bool) value { return value{null: true, long: isLong} }

// String is the value as the functions of the cases join it.
func (v value) String() string {
	switch {
	case v.null:
		return "null"
	case v.long:
		return strconv.FormatInt(v.n, 10)
	}
	return v.s
}

// valueSerde holds values of one type.
type valueSerde struct{ long bool }

func (s valueSerde) IsNull(v value) bool { return v.null }
func (s valueSerde) Null() value         { return null(s.long) }

func (s valueSerde) Append(dst []byte, v value) ([]byte, error) {
	if s.long {
		return serde.Int64.Append(dst, v.n)
	}
	return append(dst, v.s...), nil
}

func (s valueSerde) Decode(data []byte) (value, error) {
	if !s.long {
		return str(string(data)), nil
	}
	n, err := serde.Int64.Decode(data)
	return long(n), err
}

// key is the type of plain keys; nil is null.
type key = *string

var keySerde = serde.Nullable(serde.String)

func keyOf(s string) key { return &s }

// plain is the key part of a key of either kind.
func plain[K any](k K) key {
	switch k := any(k).(type) {
	case key:
		return k
	case streams.Windowed[key]:
		return k.Key
	}
	panic("unknown kind of key")
}

func keyText(k key) string {
	if k == nil {
		return "null"
	}
	return *k
}

func length(s string) int { return len(utf16.Encode([]rune(s))) }

// predicate is a function of §2.1 of the format.
func predicate(name string) (func(key, value) bool, bool) {
	fn, arg, _ := strings.Cut(name, ":")
	number := func(v value) int64 {
		if v.long {
			return v.n
		}
		return int64(length(v.s))
	}
	switch fn {
	case "even", "odd":
		want := fn == "even"
		return func(_ key, v value) bool { return !v.null && (number(v)%2 == 0) == want }, true
	case "contains":
		return func(_ key, v value) bool { return !v.null && strings.Contains(v.String(), arg) }, true
	case "gt":
		n, err := strconv.ParseInt(arg, 10, 64)
		return func(_ key, v value) bool { return !v.null && number(v) > n }, err == nil
	case "not_null":
		return func(_ key, v value) bool { return !v.null }, true
	case "key":
		return func(k key, _ value) bool { return k != nil && *k == arg }, true
	case "true":
		return func(key, value) bool { return true }, true
	}
	return nil, false
}

// mapper is a function of §2.2, with the type of its result for values of the
// given type.
func mapper(name string, isLong bool) (fn func(key, value) value, resultLong, ok bool) {
	op, arg, _ := strings.Cut(name, ":")
	lift := func(f func(value) value) func(key, value) value {
		return func(_ key, v value) value {
			if v.null {
				return null(resultLong)
			}
			return f(v)
		}
	}
	resultLong = isLong
	switch op {
	case "same":
		return func(_ key, v value) value { return v }, isLong, true
	case "upper":
		return lift(func(v value) value { return str(strings.ToUpper(v.s)) }), false, true
	case "append":
		return lift(func(v value) value { return str(v.s + arg) }), false, true
	case "length":
		resultLong = true
		return lift(func(v value) value { return long(int64(length(v.s))) }), true, true
	case "add":
		n, err := strconv.ParseInt(arg, 10, 64)
		return lift(func(v value) value { return long(v.n + n) }), true, err == nil
	case "str":
		resultLong = false
		return lift(func(v value) value { return str(v.String()) }), false, true
	case "null_if_odd":
		return lift(func(v value) value {
			if v.n%2 != 0 {
				return null(true)
			}
			return v
		}), true, true
	case "null_if":
		return lift(func(v value) value {
			if v.String() == arg {
				return null(isLong)
			}
			return v
		}), isLong, true
	case "nvl":
		return func(_ key, v value) value {
			if v.null {
				return str(arg)
			}
			return v
		}, false, true
	case "with_key":
		return func(k key, v value) value { return str(keyText(k) + ":" + v.String()) }, false, true
	case "field":
		resultLong = false
		return lift(func(v value) value {
			if f, ok := field(v.s, arg); ok {
				return str(f)
			}
			return null(false)
		}), false, true
	}
	return nil, false, false
}

func field(s, index string) (string, bool) {
	i, err := strconv.Atoi(index)
	parts := strings.Split(s, "|")
	if err != nil || i >= len(parts) || parts[i] == "" {
		return "", false
	}
	return parts[i], true
}

// keyFunc is a function of §2.3 on plain keys.
func keyFunc(name string) (func(key, value) key, bool) {
	op, arg, _ := strings.Cut(name, ":")
	lift := func(f func(value) (string, bool)) func(key, value) key {
		return func(_ key, v value) key {
			if v.null {
				return nil
			}
			if s, ok := f(v); ok {
				return &s
			}
			return nil
		}
	}
	switch op {
	case "same":
		return func(k key, _ value) key { return k }, true
	case "const":
		return func(key, value) key { return keyOf(arg) }, true
	case "first_letter":
		return lift(func(v value) (string, bool) { return v.s[:min(1, len(v.s))], v.s != "" }), true
	case "value":
		return lift(func(v value) (string, bool) { return v.String(), true }), true
	case "field":
		return lift(func(v value) (string, bool) { return field(v.s, arg) }), true
	case "mod":
		m, err := strconv.ParseInt(arg, 10, 64)
		return lift(func(v value) (string, bool) { return strconv.FormatInt(((v.n%m)+m)%m, 10), true }), err == nil
	case "key_first":
		return func(k key, _ value) key {
			if k == nil || *k == "" {
				return nil
			}
			return keyOf((*k)[:1])
		}, true
	case "key_append":
		return func(k key, _ value) key {
			if k == nil {
				return nil
			}
			return keyOf(*k + arg)
		}, true
	}
	return nil, false
}

// aggregator is a function of §2.4: initial value, add, type of the result.
func aggregator(name string) (init value, add func(a, v value) value, ok bool) {
	number := func(v value) int64 {
		if v.null {
			return 0
		}
		return v.n
	}
	text := func(v value) string {
		if v.null {
			return ""
		}
		return v.s
	}
	switch name {
	case "sum":
		return long(0), func(a, v value) value { return long(a.n + number(v)) }, true
	case "count":
		return long(0), func(a, _ value) value { return long(a.n + 1) }, true
	case "concat":
		return str(""), func(a, v value) value { return str(a.String() + "+" + v.String()) }, true
	case "concat_tag":
		return str(""), func(a, v value) value { return str(a.String() + "*" + v.String()) }, true
	case "concat_reset":
		return str(""), func(a, v value) value {
			if !v.null && v.s == "!" {
				return null(false)
			}
			return str(text(a) + "+" + v.String())
		}, true
	}
	return value{}, nil, false
}

// reducer is a reduce function of §2.4.
func reducer(name string) (func(old, v value) value, bool) {
	pick := func(less func(a, b value) bool) func(a, b value) value {
		return func(a, b value) value {
			if a.null || (!b.null && less(b, a)) {
				return b
			}
			return a
		}
	}
	less := func(a, b value) bool {
		if a.long {
			return a.n < b.n
		}
		return a.s < b.s
	}
	switch name {
	case "sum":
		return func(a, b value) value { return long(a.n*one(!a.null) + b.n*one(!b.null)) }, true
	case "min":
		return pick(less), true
	case "max":
		return pick(func(a, b value) bool { return less(b, a) }), true
	case "first":
		return func(a, _ value) value { return a }, true
	case "last":
		return func(_, b value) value { return b }, true
	case "concat":
		return func(a, b value) value { return str(a.String() + "+" + b.String()) }, true
	}
	return nil, false
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// split is the splitting of the flat maps.
func split(v value) []string {
	if v.null || v.s == "" {
		return nil
	}
	parts := strings.Split(v.s, ",")
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	return parts
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errUnsupported}, args...)...)
}
