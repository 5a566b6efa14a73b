package topology

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/leatstream/leat/streams/processor"
)

// ErrInvalid is wrapped by everything that is wrong with a topology.
var ErrInvalid = errors.New("invalid topology")

// Builder collects nodes and stores. Mistakes are collected, too, and reported
// together by Build, so that building needs no error checks in between. A
// Builder is not safe for concurrent use.
type Builder struct {
	nodes   []*Node
	byName  map[string]*Node
	stores  map[string]*Store
	order   []string // stores in the order they were added
	topics  map[string]string
	errs    []error
	lints   []Issue
	counter int
}

// Store is a store of a topology with the nodes that use it.
type Store struct {
	processor.StoreSpec
	Sub   int
	Users []string
}

// NewBuilder makes an empty builder.
func NewBuilder() *Builder {
	return &Builder{byName: map[string]*Node{}, stores: map[string]*Store{}, topics: map[string]string{}}
}

// NextName makes a unique name of the prefix and the next number, in the form
// of Kafka Streams: PREFIX0000000007.
func (b *Builder) NextName(prefix string) string {
	n := b.counter
	b.counter++
	return fmt.Sprintf("%s%010d", prefix, n)
}

// Invalid records a mistake which makes Build fail.
func (b *Builder) Invalid(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...))
}

// Lint records a remark that [Topology.Lint] will report.
func (b *Builder) Lint(code, node, format string, args ...any) {
	b.lints = append(b.lints, Issue{Code: code, Node: node, Message: fmt.Sprintf(format, args...)})
}

// AddSource adds a source node.
func (b *Builder) AddSource(s Source) {
	if len(s.Topics) == 0 {
		b.Invalid("source %s has no topics", s.Name)
	}
	if s.Decode == nil {
		b.Invalid("source %s has no decoder", s.Name)
	}
	for _, t := range s.Topics {
		if t == "" {
			b.Invalid("source %s names an empty topic", s.Name)
		}
		if other, taken := b.topics[t]; taken {
			b.Invalid("topic %s is read by source %s and by source %s", t, other, s.Name)
			continue
		}
		b.topics[t] = s.Name
	}
	b.add(&Node{Name: s.Name, Kind: KindSource, Source: &s}, nil)
}

// AddProcessor adds a processor node below the parents.
func (b *Builder) AddProcessor(name string, supplier processor.Supplier, parents ...string) {
	if supplier == nil {
		b.Invalid("processor %s has no supplier", name)
	}
	b.add(&Node{Name: name, Kind: KindProcessor, Supplier: supplier}, parents)
}

// AddSink adds a sink node below the parents.
func (b *Builder) AddSink(s Sink, parents ...string) {
	if s.Topic == "" && s.TopicOf == nil {
		b.Invalid("sink %s has no topic", s.Name)
	}
	if s.Encode == nil {
		b.Invalid("sink %s has no encoder", s.Name)
	}
	b.add(&Node{Name: s.Name, Kind: KindSink, Sink: &s}, parents)
}

// AddStore adds a store used by the named nodes. A store's name is part of a
// topic name and must be one.
func (b *Builder) AddStore(spec processor.StoreSpec, users ...string) {
	if _, taken := b.stores[spec.Name]; taken {
		b.Invalid("store %s is already added", spec.Name)
		return
	}
	if !topicName(spec.Name) {
		b.Invalid("store name %q: only letters, digits, '.', '_' and '-' are allowed", spec.Name)
	}
	b.stores[spec.Name] = &Store{StoreSpec: spec}
	b.order = append(b.order, spec.Name)
	b.Connect(spec.Name, users...)
}

// Connect gives more nodes access to a store.
func (b *Builder) Connect(store string, users ...string) {
	s, ok := b.stores[store]
	if !ok {
		b.Invalid("store %s is not added", store)
		return
	}
	for _, u := range users {
		n, ok := b.byName[u]
		if !ok || n.Kind != KindProcessor {
			b.Invalid("store %s: %s is not a processor", store, u)
			continue
		}
		if !slices.Contains(n.Stores, store) {
			n.Stores = append(n.Stores, store)
			slices.Sort(n.Stores)
			s.Users = append(s.Users, u)
		}
	}
}

// Has tells whether a node of that name has been added.
func (b *Builder) Has(name string) bool { return b.byName[name] != nil }

func (b *Builder) add(n *Node, parents []string) {
	if n.Name == "" {
		b.Invalid("a %s has no name", strings.ToLower(n.Kind.String()))
		return
	}
	if b.byName[n.Name] != nil {
		b.Invalid("processor %s is already added", n.Name)
		return
	}
	if n.Kind != KindSource && len(parents) == 0 {
		b.Invalid("%s has no parent", n.Name)
	}
	for _, p := range parents {
		parent := b.byName[p]
		if parent == nil {
			b.Invalid("parent %s of %s is not added", p, n.Name)
			continue
		}
		if parent.Kind == KindSink {
			b.Invalid("sink %s cannot be the parent of %s", p, n.Name)
			continue
		}
		parent.Children = append(parent.Children, n.Name)
		n.Parents = append(n.Parents, p)
	}
	n.Index = len(b.nodes)
	b.nodes = append(b.nodes, n)
	b.byName[n.Name] = n
}

// topicName tells whether s may be (part of) a topic name.
func topicName(s string) bool {
	if s == "" || len(s) > 200 || s == "." || s == ".." {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
