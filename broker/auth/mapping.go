package auth

import (
	"fmt"
	"regexp"
	"strings"
)

// PrincipalMapper turns the distinguished name of a client's certificate into a
// principal by the rules of ssl.principal.mapping.rules. It is immutable.
type PrincipalMapper struct{ rules []mappingRule }

// mappingRule rewrites the names that its pattern matches as a whole.
type mappingRule struct {
	pattern     *regexp.Regexp // nil: DEFAULT, every name as it is
	replacement string         // in the syntax of regexp
	fold        func(string) string
}

// ParsePrincipalRules reads rules separated by commas, each DEFAULT or
// RULE:pattern/replacement/ with L or U at the end for lower or upper case. None
// stand for DEFAULT.
func ParsePrincipalRules(text string) (*PrincipalMapper, error) {
	m := &PrincipalMapper{}
	rest := strings.TrimSpace(text)
	if rest == "" {
		rest = "DEFAULT"
	}
	for rest != "" {
		rule, after, err := parseRule(rest)
		if err != nil {
			return nil, fmt.Errorf("ssl.principal.mapping.rules: %w", err)
		}
		m.rules = append(m.rules, rule)
		after = strings.TrimLeft(after, " \t")
		if after != "" && after[0] != ',' {
			return nil, fmt.Errorf("ssl.principal.mapping.rules: %q follows a rule without a comma", after)
		}
		rest = strings.TrimLeft(after, ", \t")
	}
	return m, nil
}

// parseRule reads the rule at the front of text.
func parseRule(text string) (r mappingRule, rest string, err error) {
	r.fold = func(s string) string { return s }
	if rest, ok := strings.CutPrefix(text, "DEFAULT"); ok {
		return r, rest, nil
	}
	rest, ok := strings.CutPrefix(text, "RULE:")
	if !ok {
		return r, "", fmt.Errorf("%q is neither DEFAULT nor RULE:pattern/replacement/", text)
	}
	pattern, rest, ok := cutSlash(rest)
	replacement, rest, ok2 := cutSlash(rest)
	if !ok || !ok2 {
		return r, "", fmt.Errorf("%q does not have the form RULE:pattern/replacement/", text)
	}
	if r.pattern, err = regexp.Compile("^(?:" + pattern + ")$"); err != nil {
		return r, "", err
	}
	r.replacement = goReplacement(replacement, r.pattern.NumSubexp())
	if after, ok := strings.CutPrefix(rest, "L"); ok {
		r.fold, rest = strings.ToLower, after
	} else if after, ok := strings.CutPrefix(rest, "U"); ok {
		r.fold, rest = strings.ToUpper, after
	}
	return r, rest, nil
}

// cutSlash cuts at the first slash that no backslash marks.
func cutSlash(s string) (before, after string, ok bool) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '/':
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// goReplacement translates Java's replacements: $1 is a group, if there are as
// many, and a backslash makes what follows plain.
func goReplacement(s string, groups int) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteString(strings.ReplaceAll(s[i:i+1], "$", "$$"))
		case c == '$':
			n, digits := 0, 0
			for j := i + 1; j < len(s) && s[j] >= '0' && s[j] <= '9' && n*10+int(s[j]-'0') <= groups; j++ {
				n, digits = n*10+int(s[j]-'0'), digits+1
			}
			if digits == 0 {
				b.WriteString("$$")
				continue
			}
			fmt.Fprintf(&b, "${%d}", n)
			i += digits
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Principal is the user with a distinguished name. It fails when no rule holds
// for the name.
func (m *PrincipalMapper) Principal(name string) (Principal, error) {
	for _, r := range m.rules {
		if r.pattern == nil {
			return Principal{Type: Anonymous.Type, Name: name}, nil
		}
		if r.pattern.MatchString(name) {
			return Principal{Type: Anonymous.Type, Name: r.fold(r.pattern.ReplaceAllString(name, r.replacement))}, nil
		}
	}
	return Principal{}, fmt.Errorf("%w: no rule of ssl.principal.mapping.rules holds for %s", ErrName, name)
}
