package pipelines

import (
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// node is a YAML node with the report that its mistakes go to. Reading a node
// never fails: it reports, and gives the zero value.
type node struct {
	y *yaml.Node
	r *report
}

func (n node) at() pos {
	if n.y == nil {
		return pos{1, 1}
	}
	return pos{n.y.Line, n.y.Column}
}

func (n node) absent() bool { return n.y == nil || n.y.Kind == 0 }

func (n node) isScalar() bool { return n.y != nil && n.y.Kind == yaml.ScalarNode }

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a single value"
	}
}

// pair is one entry of a mapping.
type pair struct {
	name  string
	key   node
	value node
}

// mapping is the entries of a mapping in order.
func (n node) mapping(what string) []pair {
	if n.absent() {
		return nil
	}
	if n.y.Kind != yaml.MappingNode {
		n.r.errorf(n.at(), "yaml-kind", "write it as name: value", "%s must be a mapping, not %s", what, kindName(n.y))
		return nil
	}
	var out []pair
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.y.Content); i += 2 {
		k := node{n.y.Content[i], n.r}
		name := k.y.Value
		if seen[name] {
			n.r.errorf(k.at(), "yaml-duplicate", "remove one of them", "%s has %s twice", what, name)
		}
		seen[name] = true
		out = append(out, pair{name, k, node{follow(n.y.Content[i+1]), n.r}})
	}
	return out
}

// fields is a mapping whose keys are known; others are reported. Those that are
// not there are absent nodes.
func (n node) fields(what string, known ...string) map[string]node {
	out := make(map[string]node, len(known))
	for _, k := range known {
		out[k] = node{nil, n.r}
	}
	for _, p := range n.mapping(what) {
		ok := false
		for _, k := range known {
			ok = ok || k == p.name
		}
		if !ok {
			n.r.errorf(p.key.at(), "unknown-key", didYouMean(p.name, append([]string(nil), known...)), "%s has no key %s", what, p.name)
			continue
		}
		out[p.name] = p.value
	}
	return out
}

// list is the elements of a list; a single value counts as a list of one.
func (n node) list() []node {
	if n.absent() {
		return nil
	}
	if n.y.Kind != yaml.SequenceNode {
		return []node{n}
	}
	out := make([]node, len(n.y.Content))
	for i, c := range n.y.Content {
		out[i] = node{follow(c), n.r}
	}
	return out
}

func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// text is a scalar's text.
func (n node) text(what string) string {
	if n.absent() {
		return ""
	}
	if n.y.Kind != yaml.ScalarNode {
		n.r.errorf(n.at(), "yaml-kind", "", "%s must be a single value, not %s", what, kindName(n.y))
		return ""
	}
	if n.r.refs != nil && dotted(n.y.Value) {
		return n.r.refs.scalar(n)
	}
	return n.y.Value
}

func (n node) texts(what string) []string {
	var out []string
	for _, e := range n.list() {
		out = append(out, e.text(what))
	}
	return out
}

// duration is a length of time such as 90s or 1m30s.
func (n node) duration(what string) time.Duration {
	s := n.text(what)
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		n.r.errorf(n.at(), "duration", "write it as 500ms, 10s, 1m or 24h", "%s: %q is not a duration", what, s)
	}
	return max(0, d)
}

// integer is a whole number of at least least.
func (n node) integer(what string, least int) int {
	s := n.text(what)
	i, err := strconv.Atoi(s)
	if err != nil || i < least {
		n.r.errorf(n.at(), "number", "", "%s must be a whole number of at least %d, not %q", what, least, s)
		return least
	}
	return i
}

// choice is one of some words; absent gives the first.
func (n node) choice(what string, words ...string) string {
	if n.absent() {
		return words[0]
	}
	s := n.text(what)
	for _, w := range words {
		if s == w {
			return s
		}
	}
	n.r.errorf(n.at(), "choice", didYouMean(s, append([]string(nil), words...)), "%s cannot be %q", what, s)
	return words[0]
}

// inner is the position of the text inside a scalar: behind the quote, or at
// the first line of a block.
func (n node) inner() pos {
	p := n.at()
	switch {
	case n.y == nil:
	case n.y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		p.col++
	case n.y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		p.line++
	}
	return p
}

// dotted tells whether text holds an interpolation.
func dotted(s string) bool { return strings.Contains(s, "${") }
