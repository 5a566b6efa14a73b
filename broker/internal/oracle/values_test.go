package oracle

import (
	"crypto/sha256"
	"fmt"
	"path"
	"reflect"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// line is one observed value.
type line struct{ field, value string }

// writer takes messages apart into lines. Values that rightly differ between two
// brokers are written by name.
type writer struct {
	lines   []line
	aliases map[string]string // identifiers that the broker chose, by order of appearance
	hidden  func(name string) bool
	rename  func(name string) string // takes what is the row's own out of a name
}

func (w *writer) add(field, value string) { w.lines = append(w.lines, line{field, value}) }

// rule says how the value of a field is written. The field is a pattern of
// path.Match for "Message.Field", where Message is the name of the kmsg type.
type rule struct {
	field string
	write func(w *writer, v reflect.Value) string
}

// rules are narrow: what they change is an identifier, an address, a time or a
// text in natural language.
var rules = []rule{
	{"*.TopicID", present("id")},
	{"*.ClusterID", present("id")},
	{"*.Port", present("port")},
	{"ApiVersionsResponse.ApiKeys", present("keys")},
	{"*.ErrorMessage", text},
	{"DescribeConfigsResponseResourceConfig.Documentation", text},
	{"*.MemberID", alias("member")},
	{"JoinGroupResponse.LeaderID", alias("member")},
	{"InitProducerIDResponse.ProducerID", alias("producer")},
	{"FetchResponse.SessionID", alias("session")},
	{"ProduceResponseTopicPartition.LogAppendTime", present("time")},
	{"DescribeLogDirsResponseDir.Dir", present("dir")},
	{"DescribeLogDirsResponseDir.*Bytes", present("bytes")},
	{"FetchResponseTopicPartition.RecordBatches", records},
}

// present writes that a value is there, for what every broker has its own of.
// Zero, empty, null and negative values stay as they are.
func present(name string) func(*writer, reflect.Value) string {
	return func(_ *writer, v reflect.Value) string {
		if s := plain(v); v.IsZero() || s == "empty" || s == `""` || s[0] == '-' {
			return s
		}
		return name
	}
}

// alias numbers the identifiers that the broker chose in their order.
func alias(name string) func(*writer, reflect.Value) string {
	return func(w *writer, v reflect.Value) string {
		s := plain(v)
		if s == `""` || s[0] == '-' || v.IsZero() && v.Kind() != reflect.Int64 { // 0 is a producer id
			return s
		}
		if w.aliases[s] == "" {
			w.aliases[s] = fmt.Sprintf("%s %d", name, len(w.aliases)+1)
		}
		return w.aliases[s]
	}
}

// text writes whether there is a text. Kafka's "NONE" is no text but a code that
// clients see.
func text(_ *writer, v reflect.Value) string {
	if s := plain(v); s == "null" || s == `""` || s == `"NONE"` {
		return s
	}
	return "text"
}

// message writes the fields of a message.
func (w *writer) message(field string, m any) {
	w.fields(field, reflect.Indirect(reflect.ValueOf(m)))
}

func (w *writer) fields(field string, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Name != "Version" {
			w.value(field+"."+f.Name, v.Type().Name()+"."+f.Name, v.Field(i))
		}
	}
}

func (w *writer) value(field, kind string, v reflect.Value) {
	for _, r := range rules {
		if ok, _ := path.Match(r.field, kind); ok {
			w.add(field, r.write(w, v))
			return
		}
	}
	switch {
	case v.Type() == reflect.TypeFor[kmsg.Tags]():
		tags := v.Interface().(kmsg.Tags)
		tags.Each(func(key uint32, value []byte) { w.add(fmt.Sprintf("%s[%d]", field, key), fmt.Sprintf("%x", value)) })
	case v.Kind() == reflect.Struct:
		w.fields(field, v)
	case v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct && !v.IsNil():
		w.fields(field, v.Elem())
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		w.elements(field, v)
	default:
		w.add(field, w.rename(plain(v)))
	}
}

// elements writes an array of messages, each under its name.
func (w *writer) elements(field string, v reflect.Value) {
	if v.Len() == 0 {
		w.add(field, plain(v))
		return
	}
	w.add(field, "filled")
	seen := make(map[string]int)
	for i := range v.Len() {
		name := nameOf(v.Index(i))
		if w.hidden(name) {
			continue
		}
		seen[name]++
		if n := seen[name]; n > 1 || name == "" {
			name += fmt.Sprintf("#%d", n)
		}
		name = w.rename(name)
		w.add(field+"["+name+"]", "present")
		w.fields(field+"["+name+"]", v.Index(i))
	}
}

// nameOf is what tells an element from its siblings; without a name they keep
// their order.
func nameOf(v reflect.Value) string {
	for _, f := range []string{"Name", "Topic", "Partition", "Group", "Key", "ApiKey", "ResourceName", "NodeID"} {
		if n := v.FieldByName(f); n.IsValid() && !(n.Kind() == reflect.Pointer && n.IsNil()) {
			return strings.Trim(plain(n), `"`)
		}
	}
	return ""
}

// plain writes a value without structure.
func plain(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return "null"
		}
		return plain(v.Elem())
	case reflect.String:
		return fmt.Sprintf("%q", v.String())
	case reflect.Slice:
		if v.IsNil() {
			return "null"
		}
		if v.Len() == 0 {
			return "empty"
		}
		if b, ok := v.Interface().([]byte); ok {
			return octets(b)
		}
		return fmt.Sprint(v.Interface())
	case reflect.Array, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Sprintf("%d", v.Interface())
	default:
		return fmt.Sprint(v.Interface())
	}
}

// octets writes bytes in full as far as a reader can follow, and then their sum.
func octets(b []byte) string {
	const legible = 160
	if len(b) <= legible {
		return fmt.Sprintf("bytes %x", b)
	}
	return fmt.Sprintf("%d bytes %x… sum %x", len(b), b[:legible], sha256.Sum256(b))
}
