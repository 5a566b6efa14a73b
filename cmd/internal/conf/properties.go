package conf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxFileSize bounds a configuration file, in bytes. A larger one is refused
// before it is parsed.
const MaxFileSize = 4 << 20

// ErrSyntax marks a configuration text that cannot be parsed.
var ErrSyntax = errors.New("syntax error")

// Property is one key of a properties text. Line counts from 1 and is the line
// on which the key starts.
type Property struct {
	Key   string
	Value string
	Line  int
}

// ParseProperties reads the format of java.util.Properties: '#' and '!' open a
// comment line, a backslash at the end of a line continues it, key and value
// are separated by '=', ':' or white space, and \t \n \r \f \uXXXX are escapes.
// Text is taken as UTF-8. Properties come in the order of the text; a key may
// occur more than once, and then its last value counts.
func ParseProperties(text []byte) ([]Property, error) {
	if len(text) > MaxFileSize {
		return nil, fmt.Errorf("%w: %d bytes, more than the limit of %d", ErrSyntax, len(text), MaxFileSize)
	}
	var props []Property
	lines := lineReader{text: string(text)}
	for {
		line, number, ok := lines.next()
		if !ok {
			return props, nil
		}
		rawKey, rawValue := splitKey(line)
		key, err := unescape(rawKey)
		if err != nil {
			return nil, fmt.Errorf("line %d: key: %w", number, err)
		}
		value, err := unescape(rawValue)
		if err != nil {
			return nil, fmt.Errorf("line %d: value of %s: %w", number, key, err)
		}
		props = append(props, Property{Key: key, Value: value, Line: number})
	}
}

// lineReader yields logical lines: comments and blanks skipped, continuations
// joined, leading white space removed from every natural line.
type lineReader struct {
	text string
	line int // natural lines consumed so far
}

func (r *lineReader) next() (line string, number int, ok bool) {
	for {
		natural, more := r.natural()
		if !more {
			return "", 0, false
		}
		number = r.line
		if natural == "" || natural[0] == '#' || natural[0] == '!' {
			continue
		}
		return r.join(natural), number, true
	}
}

// join appends the following natural lines while the text ends in an odd number
// of backslashes. A continuation that starts with '#' is text, not a comment.
func (r *lineReader) join(first string) string {
	if !continues(first) {
		return first
	}
	var b strings.Builder
	for continues(first) {
		b.WriteString(first[:len(first)-1])
		var more bool
		if first, more = r.natural(); !more {
			return b.String()
		}
	}
	b.WriteString(first)
	return b.String()
}

// natural cuts the next line at \n, \r or \r\n and trims its left side.
func (r *lineReader) natural() (string, bool) {
	if r.text == "" {
		return "", false
	}
	r.line++
	end := strings.IndexAny(r.text, "\r\n")
	line, rest := r.text, ""
	if end >= 0 {
		line, rest = r.text[:end], r.text[end+1:]
		if r.text[end] == '\r' && strings.HasPrefix(rest, "\n") {
			rest = rest[1:]
		}
	}
	r.text = rest
	return strings.TrimLeft(line, " \t\f"), true
}

func continues(line string) bool {
	slashes := len(line) - len(strings.TrimRight(line, `\`))
	return slashes%2 == 1
}

// splitKey cuts a logical line at its first unescaped separator. White space
// around one '=' or ':' belongs to the separator.
func splitKey(line string) (key, value string) {
	i := 0
	for i < len(line) && !strings.ContainsRune("=: \t\f", rune(line[i])) {
		if line[i] == '\\' {
			i++
		}
		i++
	}
	i = min(i, len(line))
	key, value = line[:i], strings.TrimLeft(line[i:], " \t\f")
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], " \t\f")
	}
	return key, value
}

func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			break // a lone backslash at the very end of the text stands for nothing
		}
		if s[i] != 'u' {
			b.WriteByte(plainEscape(s[i]))
			continue
		}
		r, used, err := unicodeEscape(s[i-1:])
		if err != nil {
			return "", err
		}
		b.WriteRune(r)
		i += used - 2
	}
	return b.String(), nil
}

func plainEscape(c byte) byte {
	switch c {
	case 't':
		return '\t'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 'f':
		return '\f'
	}
	return c
}

// unicodeEscape decodes \uXXXX at the start of s, and \uXXXX\uXXXX when the two
// form a surrogate pair; used is the number of bytes taken. Half a pair becomes
// the replacement character.
func unicodeEscape(s string) (r rune, used int, err error) {
	r, err = hexUnit(s)
	if err != nil || !utf16.IsSurrogate(r) {
		return r, 6, err
	}
	if strings.HasPrefix(s[6:], `\u`) {
		low, err := hexUnit(s[6:])
		if err != nil {
			return 0, 0, err
		}
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12, nil
		}
	}
	return utf8.RuneError, 6, nil
}

func hexUnit(s string) (rune, error) {
	if len(s) < 6 {
		return 0, fmt.Errorf(`%w: \u needs four hexadecimal digits, found %q`, ErrSyntax, s)
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	if err != nil {
		return 0, fmt.Errorf(`%w: \u needs four hexadecimal digits, found %q`, ErrSyntax, s[:6])
	}
	return rune(n), nil
}
