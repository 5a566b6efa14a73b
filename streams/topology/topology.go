package topology

import (
	"errors"
	"maps"
	"slices"
)

// Topology is a built graph.
type Topology struct {
	nodes  []*Node
	byName map[string]*Node
	stores []*Store
	subs   []*Sub
	lints  []Issue
}

// Sub is one sub-topology: the nodes and stores of one task per partition.
type Sub struct {
	ID      int
	Nodes   []*Node // in build order
	Sources []*Node // in build order
	Stores  []*Store
}

// Issue is a remark of the linter: legal, but likely not meant.
type Issue struct {
	Code    string `json:"code"`
	Node    string `json:"node"`
	Message string `json:"message"`
}

// Build checks the graph and freezes it. The builder must not be used again.
func (b *Builder) Build() (*Topology, error) {
	if len(b.nodes) == 0 {
		b.Invalid("there is no node")
	}
	for _, name := range b.order {
		if len(b.stores[name].Users) == 0 {
			b.Invalid("store %s is used by no processor", name)
		}
	}
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	t := &Topology{nodes: b.nodes, byName: b.byName, lints: b.lints}
	for _, name := range b.order {
		t.stores = append(t.stores, b.stores[name])
	}
	t.split(b.stores)
	t.checkSubs(b)
	t.measure()
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	t.lint()
	return t, nil
}

// split finds the sub-topologies. They are numbered by the names of their
// sources in sorted order, as Kafka Streams does.
func (t *Topology) split(stores map[string]*Store) {
	for _, n := range t.nodes {
		n.Sub = -1
	}
	names := slices.Sorted(maps.Keys(t.byName))
	for _, wantSource := range []bool{true, false} {
		for _, name := range names {
			n := t.byName[name]
			if n.Sub < 0 && (n.Kind == KindSource) == wantSource {
				t.subs = append(t.subs, &Sub{ID: len(t.subs)})
				t.spread(n, len(t.subs)-1, stores)
			}
		}
	}
	for _, n := range t.nodes {
		s := t.subs[n.Sub]
		s.Nodes = append(s.Nodes, n)
		if n.Kind == KindSource {
			s.Sources = append(s.Sources, n)
		}
	}
	for _, st := range t.stores {
		st.Sub = t.byName[st.Users[0]].Sub
		t.subs[st.Sub].Stores = append(t.subs[st.Sub].Stores, st)
	}
}

// spread gives the sub-topology's id to all nodes connected with n.
func (t *Topology) spread(n *Node, id int, stores map[string]*Store) {
	queue := []string{n.Name}
	for len(queue) > 0 {
		n := t.byName[queue[0]]
		queue = queue[1:]
		if n.Sub >= 0 {
			continue
		}
		n.Sub = id
		queue = append(append(queue, n.Parents...), n.Children...)
		for _, s := range n.Stores {
			queue = append(queue, stores[s].Users...)
		}
	}
}

func (t *Topology) checkSubs(b *Builder) {
	for _, s := range t.subs {
		if len(s.Sources) == 0 {
			b.Invalid("%s is not connected to a source", s.Nodes[0].Name)
		}
	}
	read := map[string]bool{}
	for _, n := range t.nodes {
		if n.Kind == KindSource && n.Source.Repartition {
			read[n.Source.Topics[0]] = true
		}
	}
	for _, n := range t.nodes {
		if n.Kind == KindSink && n.Sink.Repartition && !read[n.Sink.Topic] {
			b.Invalid("repartition topic %s is written and not read", n.Sink.Topic)
		}
	}
}

// measure sets the sizes that order nodes in descriptions.
func (t *Topology) measure() {
	for i := len(t.nodes) - 1; i >= 0; i-- { // children come after parents
		n := t.nodes[i]
		n.size = 1
		for _, c := range n.Children {
			n.size += t.byName[c].size
		}
	}
}

// Nodes are all nodes in build order.
func (t *Topology) Nodes() []*Node { return t.nodes }

// Node is the node of that name, or nil.
func (t *Topology) Node(name string) *Node { return t.byName[name] }

// Stores are all stores in the order they were added.
func (t *Topology) Stores() []*Store { return t.stores }

// Subs are the sub-topologies by id.
func (t *Topology) Subs() []*Sub { return t.subs }
