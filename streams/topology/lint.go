package topology

import (
	"slices"
	"strings"
)

// Lint returns what looks unintended: generated names of things that carry
// state, stores and dead ends. An empty list is a clean topology.
func (t *Topology) Lint() []Issue { return t.lints }

// lint adds the remarks that follow from the graph alone.
func (t *Topology) lint() {
	for _, s := range t.stores {
		if Generated(s.Name) {
			t.remark("unnamed-store", s.Users[0], "store "+s.Name+" has a generated name: adding a step before it loses its state; name it")
		}
	}
	for _, n := range t.nodes {
		if n.Kind == KindSource && n.Source.Repartition && Generated(strings.TrimSuffix(n.Source.Topics[0], "-repartition")) {
			t.remark("unnamed-repartition", n.Name, "repartition topic "+n.Source.Topics[0]+" has a generated name; name the grouping")
		}
		if n.Kind == KindSource && len(n.Children) == 0 {
			t.remark("unused-source", n.Name, "nothing reads source "+n.Name)
		}
	}
	slices.SortStableFunc(t.lints, func(a, b Issue) int { return compare(a.Node, b.Node) })
}

func (t *Topology) remark(code, node, message string) {
	t.lints = append(t.lints, Issue{Code: code, Node: node, Message: message})
}

// Generated tells whether a name was made by [Builder.NextName]: it ends in a
// dash and ten digits, or such a name with a suffix of its own.
func Generated(name string) bool {
	i := strings.LastIndex(name, "-")
	if i < 0 || len(name)-i-1 != 10 {
		return false
	}
	return strings.Trim(name[i+1:], "0123456789") == ""
}
