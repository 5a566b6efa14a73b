package transform

import "github.com/leatstream/leat/connect"

// Plugins lists the transforms and predicates.
func Plugins() []Plugin {
	return []Plugin{
		{Name: "Filter", Transform: func() connect.Transform { return &Filter{} }},
	}
}

// Filter drops every record; it is used with a predicate.
type Filter struct{ noConfig }

// Apply implements connect.Transform.
func (*Filter) Apply(*connect.Record) (*connect.Record, error) { return nil, nil }
