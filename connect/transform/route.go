package transform

import (
	"regexp"
	"strings"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
)

// RegexRouter renames the topic if the whole name matches.
type RegexRouter struct {
	pattern     *regexp.Regexp
	replacement string
}

// Config implements connect.Transform.
func (*RegexRouter) Config() *config.Def {
	return config.New(
		config.Key{Name: "regex", Type: config.String, Required: true, Check: config.Regex, Importance: config.High, Doc: "Expression over the whole topic name."},
		config.Key{Name: "replacement", Type: config.String, Required: true, Importance: config.High, Doc: "New name; $1 stands for the first group."},
	)
}

// Configure implements connect.Transform.
func (t *RegexRouter) Configure(props map[string]string) error {
	v, err := t.Config().Parse(props)
	if err != nil {
		return err
	}
	t.replacement = groupReference.ReplaceAllString(v.String("replacement"), "$${$1}")
	t.pattern, err = regexp.Compile("^(?:" + v.String("regex") + ")$")
	return err
}

// groupReference finds Java's $1, which in Go would swallow letters behind it.
var groupReference = regexp.MustCompile(`\$(\d)`)

// Apply implements connect.Transform.
func (t *RegexRouter) Apply(r *connect.Record) (*connect.Record, error) {
	if t.pattern.MatchString(r.Topic) {
		r.Topic = t.pattern.ReplaceAllString(r.Topic, t.replacement)
	}
	return r, nil
}

// TimestampRouter puts the record's time into the topic name.
type TimestampRouter struct{ topic, layout string }

// Config implements connect.Transform.
func (*TimestampRouter) Config() *config.Def {
	return config.New(
		config.Key{Name: "topic.format", Type: config.String, Default: "${topic}-${timestamp}", Importance: config.High, Doc: "New name, with ${topic} and ${timestamp}."},
		config.Key{Name: "timestamp.format", Type: config.String, Default: "yyyyMMdd", Check: checkDatePattern, Importance: config.High, Doc: "How the time is written: a Java date pattern, in UTC."},
	)
}

// Configure implements connect.Transform.
func (t *TimestampRouter) Configure(props map[string]string) error {
	v, err := t.Config().Parse(props)
	if err != nil {
		return err
	}
	t.topic = v.String("topic.format")
	t.layout, err = dateLayout(v.String("timestamp.format"))
	return err
}

// Apply implements connect.Transform.
func (t *TimestampRouter) Apply(r *connect.Record) (*connect.Record, error) {
	if r.Timestamp.IsZero() {
		return nil, errNoTime
	}
	r.Topic = strings.NewReplacer("${topic}", r.Topic, "${timestamp}", r.Timestamp.UTC().Format(t.layout)).Replace(t.topic)
	return r, nil
}
