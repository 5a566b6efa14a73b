package transform

import "github.com/leatstream/leat/connect"

// Plugins lists the transforms and predicates. Those that work on one half of
// the record come as Name$Key and Name$Value.
func Plugins() []Plugin {
	out := []Plugin{
		{Name: "DropHeaders", Transform: func() connect.Transform { return &DropHeaders{} }},
		{Name: "Filter", Transform: func() connect.Transform { return &Filter{} }},
		{Name: "InsertHeader", Transform: func() connect.Transform { return &InsertHeader{} }},
		{Name: "RegexRouter", Transform: func() connect.Transform { return &RegexRouter{} }},
		{Name: "TimestampRouter", Transform: func() connect.Transform { return &TimestampRouter{} }},
		{Name: "ValueToKey", Transform: func() connect.Transform { return &ValueToKey{} }},
		{Name: "HasHeaderKey", Predicate: func() connect.Predicate { return &HasHeaderKey{} }},
		{Name: "RecordIsTombstone", Predicate: func() connect.Predicate { return &RecordIsTombstone{} }},
		{Name: "TopicNameMatches", Predicate: func() connect.Predicate { return &TopicNameMatches{} }},
	}
	for _, s := range []struct {
		suffix string
		side   side
	}{{"$Key", onKey}, {"$Value", onValue}} {
		out = append(out,
			Plugin{Name: "Cast" + s.suffix, Transform: func() connect.Transform { return &Cast{side: s.side} }},
			Plugin{Name: "ExtractField" + s.suffix, Transform: func() connect.Transform { return &ExtractField{side: s.side} }},
			Plugin{Name: "Flatten" + s.suffix, Transform: func() connect.Transform { return &Flatten{side: s.side} }},
			Plugin{Name: "HoistField" + s.suffix, Transform: func() connect.Transform { return &HoistField{side: s.side} }},
			Plugin{Name: "InsertField" + s.suffix, Transform: func() connect.Transform { return &InsertField{side: s.side} }},
			Plugin{Name: "MaskField" + s.suffix, Transform: func() connect.Transform { return &MaskField{side: s.side} }},
			Plugin{Name: "ReplaceField" + s.suffix, Transform: func() connect.Transform { return &ReplaceField{side: s.side} }},
			Plugin{Name: "TimestampConverter" + s.suffix, Transform: func() connect.Transform { return &TimestampConverter{side: s.side} }},
		)
	}
	return out
}

// Filter drops every record; it is used with a predicate.
type Filter struct{ noConfig }

// Apply implements connect.Transform.
func (*Filter) Apply(*connect.Record) (*connect.Record, error) { return nil, nil }
