package transform

import (
	"regexp"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
)

// TopicNameMatches chooses records whose whole topic name matches.
type TopicNameMatches struct{ pattern *regexp.Regexp }

// Config implements connect.Predicate.
func (*TopicNameMatches) Config() *config.Def {
	return config.New(config.Key{Name: "pattern", Type: config.String, Required: true, Check: config.Regex, Doc: "Expression over the whole topic name."})
}

// Configure implements connect.Predicate.
func (p *TopicNameMatches) Configure(props map[string]string) error {
	v, err := p.Config().Parse(props)
	if err != nil {
		return err
	}
	p.pattern, err = regexp.Compile("^(?:" + v.String("pattern") + ")$")
	return err
}

// Test implements connect.Predicate.
func (p *TopicNameMatches) Test(r *connect.Record) (bool, error) {
	return p.pattern.MatchString(r.Topic), nil
}

// HasHeaderKey chooses records with a header of that name.
type HasHeaderKey struct{ name string }

// Config implements connect.Predicate.
func (*HasHeaderKey) Config() *config.Def {
	return config.New(config.Key{Name: "name", Type: config.String, Required: true, Check: config.NonEmpty, Doc: "Name of the header."})
}

// Configure implements connect.Predicate.
func (p *HasHeaderKey) Configure(props map[string]string) error {
	v, err := p.Config().Parse(props)
	if err == nil {
		p.name = v.String("name")
	}
	return err
}

// Test implements connect.Predicate.
func (p *HasHeaderKey) Test(r *connect.Record) (bool, error) {
	_, ok := r.Header(p.name)
	return ok, nil
}

// RecordIsTombstone chooses records without a value.
type RecordIsTombstone struct{ noConfig }

// Test implements connect.Predicate.
func (*RecordIsTombstone) Test(r *connect.Record) (bool, error) { return r.Value == nil, nil }
