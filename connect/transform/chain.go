package transform

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
)

// ErrTransform is wrapped by every error about a record that a transform cannot handle.
var ErrTransform = errors.New("transform: cannot apply")

// ErrUnknown is wrapped by Build for a type that is no transform or predicate.
var ErrUnknown = errors.New("transform: unknown type")

// javaPackage is where Kafka Connect keeps its transforms.
const javaPackage = "org.apache.kafka.connect.transforms."

// Plugin names a transform or predicate. Both "InsertField$Value" and the full
// Java class name are accepted as its type.
type Plugin struct {
	Name      string
	Transform func() connect.Transform // nil for a predicate
	Predicate func() connect.Predicate // nil for a transform
}

// Class is the Java class the plugin stands in for.
func (p Plugin) Class() string {
	if p.Predicate != nil {
		return javaPackage + "predicates." + p.Name
	}
	return javaPackage + p.Name
}

// Chain applies a connector's transforms in order.
type Chain struct{ links []link }

type link struct {
	name      string
	transform connect.Transform
	predicate connect.Predicate // nil: always
	negate    bool
}

// Build reads "transforms", "transforms.<name>.type", ".predicate", ".negate"
// and "predicates" from a connector's configuration.
func Build(props map[string]string) (*Chain, error) {
	predicates, err := buildPredicates(props)
	if err != nil {
		return nil, err
	}
	c := &Chain{}
	for _, name := range names(props["transforms"]) {
		own := below(props, "transforms."+name+".")
		t, err := newTransform(own["type"])
		if err != nil {
			return nil, fmt.Errorf("transforms.%s.type: %w", name, err)
		}
		l := link{name: name, transform: t, negate: strings.EqualFold(own["negate"], "true")}
		if p := own["predicate"]; p != "" {
			if l.predicate = predicates[p]; l.predicate == nil {
				return nil, fmt.Errorf("%w: transforms.%s.predicate names %q, which predicates does not list", config.ErrInvalid, name, p)
			}
		}
		if err := t.Configure(own); err != nil {
			return nil, fmt.Errorf("transforms.%s: %w", name, err)
		}
		c.links = append(c.links, l)
	}
	return c, nil
}

func buildPredicates(props map[string]string) (map[string]connect.Predicate, error) {
	out := map[string]connect.Predicate{}
	for _, name := range names(props["predicates"]) {
		own := below(props, "predicates."+name+".")
		p, err := newPredicate(own["type"])
		if err != nil {
			return nil, fmt.Errorf("predicates.%s.type: %w", name, err)
		}
		if err := p.Configure(own); err != nil {
			return nil, fmt.Errorf("predicates.%s: %w", name, err)
		}
		out[name] = p
	}
	return out, nil
}

func newTransform(class string) (connect.Transform, error) {
	for _, p := range Plugins() {
		if p.Transform != nil && (class == p.Name || class == p.Class()) {
			return p.Transform(), nil
		}
	}
	return nil, fmt.Errorf("%w: transform %q", ErrUnknown, class)
}

func newPredicate(class string) (connect.Predicate, error) {
	for _, p := range Plugins() {
		if p.Predicate != nil && (class == p.Name || class == p.Class()) {
			return p.Predicate(), nil
		}
	}
	return nil, fmt.Errorf("%w: predicate %q", ErrUnknown, class)
}

// Apply runs the record through the chain; nil means it was dropped.
func (c *Chain) Apply(r *connect.Record) (*connect.Record, error) {
	for _, l := range c.links {
		if l.predicate != nil {
			hit, err := l.predicate.Test(r)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", l.name, err)
			}
			if hit == l.negate {
				continue
			}
		}
		next, err := l.transform.Apply(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		if next == nil {
			return nil, nil
		}
		r = next
	}
	return r, nil
}

// Len is the count of transforms.
func (c *Chain) Len() int { return len(c.links) }

func names(list string) []string {
	var out []string
	for _, n := range strings.Split(list, ",") {
		if n = strings.TrimSpace(n); n != "" && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// below gives the entries under a prefix, without it.
func below(props map[string]string, prefix string) map[string]string {
	out := map[string]string{}
	for k, v := range props {
		if rest, ok := strings.CutPrefix(k, prefix); ok {
			out[rest] = v
		}
	}
	return out
}
