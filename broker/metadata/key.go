package metadata

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Type is the type of a config's value; the numbers are those of DescribeConfigs.
type Type int8

// The types of values.
const (
	Boolean  Type = 1
	String   Type = 2
	Int      Type = 3
	Short    Type = 4
	Long     Type = 5
	Double   Type = 6
	List     Type = 7
	Class    Type = 8
	Password Type = 9
)

// String is Kafka's name of the type.
func (t Type) String() string {
	names := []string{"", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"}
	if t < 1 || int(t) >= len(names) {
		return "UNKNOWN"
	}
	return names[t]
}

// Importance is how likely it is that somebody needs to set a key.
type Importance uint8

// The grades of importance.
const (
	High Importance = iota
	Medium
	Low
)

// Scope says where a broker key can be changed while the broker runs.
type Scope uint8

// The scopes of change.
const (
	ReadOnly    Scope = iota // in the properties only: needs a restart
	PerBroker                // dynamically for one broker
	ClusterWide              // dynamically for one broker or for all
)

// Key describes one config key.
type Key struct {
	Name       string
	Type       Type
	Default    *string // nil: null
	Check      Validator
	Importance Importance
	Scope      Scope  // of broker keys; topic keys are always dynamic
	Synonym    string // of topic keys: the broker key that gives the default; "" if none
	OnlySet    bool   // of broker keys: not listed where it has no value
	Doc        string
}

// Sensitive tells whether values must never be shown.
func (k *Key) Sensitive() bool { return k.Type == Password }

// value is a parsed value; which field holds depends on the key's type.
type value struct {
	null bool
	b    bool
	i    int64 // Int, Short, Long
	f    float64
	s    string // String, Class, Password
	list []string
}

// String writes the value in the form in which it is shown and stored.
func (v value) text(t Type) string {
	switch t {
	case Boolean:
		return strconv.FormatBool(v.b)
	case Int, Short, Long:
		return strconv.FormatInt(v.i, 10)
	case Double:
		return formatDouble(v.f)
	case List:
		return strings.Join(v.list, ",")
	default:
		return v.s
	}
}

// formatDouble writes a double as Java does: always with a fraction, scientific
// outside 1e-3 to 1e7.
func formatDouble(f float64) string {
	abs := math.Abs(f)
	if abs != 0 && (abs < 1e-3 || abs >= 1e7) {
		s := strconv.FormatFloat(f, 'E', -1, 64)
		mantissa, exponent, _ := strings.Cut(s, "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		sign := ""
		if exponent[0] == '-' {
			sign = "-"
		}
		return mantissa + "E" + sign + strings.TrimLeft(exponent, "+-0")
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// maxValueSize bounds the text of one value, in bytes.
const maxValueSize = 256 << 10

// parse reads and validates a value. Errors wrap ErrInvalidConfig and read as
// Kafka's do.
func (k *Key) parse(text string) (value, error) {
	if len(text) > maxValueSize {
		return value{}, k.invalid(text[:32]+"…", fmt.Sprintf("Value of %d bytes is too long", len(text)))
	}
	v, problem := parseType(k.Type, strings.TrimFunc(text, isJavaSpace))
	if problem != "" {
		return value{}, k.invalid(text, problem)
	}
	if k.Check != nil {
		if problem := k.Check.check(v); problem != "" {
			return value{}, k.invalid(k.shown(v), problem)
		}
	}
	return v, nil
}

// shown is a value as error messages show it.
func (k *Key) shown(v value) string {
	if k.Type == List {
		return "[" + strings.Join(v.list, ", ") + "]"
	}
	return v.text(k.Type)
}

func (k *Key) invalid(text, problem string) error {
	if k.Sensitive() {
		text = "[hidden]"
	}
	return invalidf("Invalid value %s for configuration %s: %s", text, k.Name, problem)
}

// isJavaSpace is the space that String.trim removes.
func isJavaSpace(r rune) bool { return r <= ' ' }

func parseType(t Type, text string) (v value, problem string) {
	var err error
	switch t {
	case Boolean:
		switch strings.ToLower(text) {
		case "true":
			v.b = true
		case "false":
		default:
			problem = "Expected value to be either true or false"
		}
	case Int:
		v.i, err = strconv.ParseInt(text, 10, 32)
	case Short:
		v.i, err = strconv.ParseInt(text, 10, 16)
	case Long:
		v.i, err = strconv.ParseInt(text, 10, 64)
	case Double:
		if v.f, err = strconv.ParseFloat(text, 64); math.IsNaN(v.f) || math.IsInf(v.f, 0) {
			err = strconv.ErrRange
		}
	case List:
		v.list = splitList(text)
	default:
		v.s = text
	}
	if err != nil {
		problem = "Not a number of type " + t.String()
	}
	return v, problem
}

func splitList(text string) []string {
	if text == "" {
		return nil
	}
	list := strings.Split(text, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// Validator restricts the values of a key.
type Validator interface {
	// check returns what is wrong with a value, or "".
	check(v value) string
	// String says which values are valid.
	String() string
}

// between is a range of numbers, both ends inclusive. Doubles are compared as
// such.
type between struct{ min, max float64 }

func atLeast(n float64) Validator { return between{n, math.Inf(1)} }

func (r between) check(v value) string {
	n := float64(v.i)
	if v.f != 0 {
		n = v.f
	}
	if n < r.min {
		return "Value must be at least " + strconv.FormatFloat(r.min, 'f', -1, 64)
	}
	if n > r.max {
		return "Value must be no more than " + strconv.FormatFloat(r.max, 'f', -1, 64)
	}
	return ""
}

func (r between) String() string {
	if math.IsInf(r.max, 1) {
		return fmt.Sprintf("[%v,...]", r.min)
	}
	return fmt.Sprintf("[%v,...,%v]", r.min, r.max)
}

// oneOf is an enumeration of strings.
type oneOf []string

func (o oneOf) check(v value) string {
	if slices.Contains(o, v.s) {
		return ""
	}
	return "String must be one of: " + strings.Join(o, ", ")
}

func (o oneOf) String() string { return "[" + strings.Join(o, ", ") + "]" }

// listOf is a list whose elements are each one of some strings.
type listOf []string

func (l listOf) check(v value) string {
	for _, e := range v.list {
		if !slices.Contains(l, e) {
			return "String must be one of: " + strings.Join(l, ", ")
		}
	}
	return ""
}

func (l listOf) String() string { return "[" + strings.Join(l, ", ") + "]" }

// nonEmptyString refuses "".
type nonEmptyString struct{}

func (nonEmptyString) check(v value) string {
	if v.s == "" {
		return "String must be non-empty"
	}
	return ""
}

func (nonEmptyString) String() string { return "non-empty string" }

// gzipLevel is -1 or 1 to 9.
type gzipLevel struct{}

func (gzipLevel) check(v value) string {
	if v.i == -1 || v.i >= 1 && v.i <= 9 {
		return ""
	}
	return "Value must be between 1 and 9 or equal to -1"
}

func (gzipLevel) String() string { return "[1,...,9] or -1" }

// throttledReplicas is "*" or a list of partition:broker.
type throttledReplicas struct{}

func (throttledReplicas) check(v value) string {
	if len(v.list) == 0 || len(v.list) == 1 && v.list[0] == "*" {
		return ""
	}
	for _, e := range v.list {
		p, b, ok := strings.Cut(e, ":")
		if !ok || !digits(p) || !digits(b) {
			return "must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
		}
	}
	return ""
}

func (throttledReplicas) String() string {
	return "[partitionId]:[brokerId],[partitionId]:[brokerId],..."
}

// kafkaVersion is a release number such as 2.8, 3.0-IV1 or 0.10.2.
type kafkaVersion struct{}

func (kafkaVersion) check(v value) string {
	release, iv, hasIV := strings.Cut(v.s, "-IV")
	parts := strings.Split(release, ".")
	ok := len(parts) >= 2 && len(parts) <= 4 && (!hasIV || digits(iv))
	for _, p := range parts {
		ok = ok && digits(p)
	}
	if !ok {
		return "Version " + v.s + " is not a valid version."
	}
	return ""
}

func (kafkaVersion) String() string { return "a release of Kafka" }

func digits(s string) bool {
	return s != "" && len(s) <= 10 && strings.Trim(s, "0123456789") == ""
}
