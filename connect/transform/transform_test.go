package transform

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
	"github.com/leatstream/leat/connect/data"
)

// show prints a record as "topic key value headers" in JSON.
func show(t *testing.T, r *connect.Record) string {
	t.Helper()
	if r == nil {
		return "dropped"
	}
	b := []byte(r.Topic + " ")
	var err error
	if b, err = data.AppendJSON(b, r.KeySchema, r.Key, data.JSONOptions{}); err != nil {
		t.Fatal(err)
	}
	if b, err = data.AppendJSON(append(b, ' '), r.ValueSchema, r.Value, data.JSONOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, h := range r.Headers {
		b = append(b, " "+h.Name...)
	}
	return string(b)
}

func chain(t *testing.T, lines string) *Chain {
	t.Helper()
	props := map[string]string{}
	for _, l := range strings.Split(lines, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(l), "=")
		props[k] = v
	}
	c, err := Build(props)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func plain() *connect.Record {
	return &connect.Record{Topic: "top-1", Partition: 2, Offset: 9, Timestamp: time.UnixMilli(1_700_000_000_123).UTC(),
		Key:     "k",
		Value:   map[string]any{"a": int64(1), "b": "x", "in": map[string]any{"c": true}, "at": int64(1_700_000_000_123)},
		Headers: []connect.Header{{Name: "h1"}, {Name: "h2"}}}
}

func typed() *connect.Record {
	in := data.NewRecord("in", data.Field{Name: "c", Schema: data.BooleanSchema})
	s := data.NewRecord("s", data.Field{Name: "a", Schema: data.Int64Schema}, data.Field{Name: "b", Schema: data.StringSchema},
		data.Field{Name: "in", Schema: in.AsOptional()}, data.Field{Name: "at", Schema: data.TimestampSchema})
	r := plain()
	r.KeySchema, r.ValueSchema = data.StringSchema, s
	r.Value = data.StructOf(s, int64(1), "x", data.StructOf(in, true), time.UnixMilli(1_700_000_000_123).UTC())
	return r
}

func TestTransforms(t *testing.T) {
	const one = "transforms=t; transforms.t.type="
	for _, c := range []struct{ props, plain, typed string }{
		{one + "InsertField$Value; transforms.t.topic.field=t; transforms.t.offset.field=o!; transforms.t.static.field=s; transforms.t.static.value=v",
			`top-1 "k" {"a":1,"at":1700000000123,"b":"x","in":{"c":true},"o":9,"s":"v","t":"top-1"} h1 h2`,
			`top-1 "k" {"a":1,"b":"x","in":{"c":true},"at":1700000000123,"t":"top-1","o":9,"s":"v"} h1 h2`},
		{one + "org.apache.kafka.connect.transforms.InsertField$Value; transforms.t.timestamp.field=ts; transforms.t.partition.field=p",
			`top-1 "k" {"a":1,"at":1700000000123,"b":"x","in":{"c":true},"p":2,"ts":1700000000123} h1 h2`,
			`top-1 "k" {"a":1,"b":"x","in":{"c":true},"at":1700000000123,"p":2,"ts":1700000000123} h1 h2`},
		{one + "ReplaceField$Value; transforms.t.exclude=in,at; transforms.t.renames=a:z",
			`top-1 "k" {"b":"x","z":1} h1 h2`, `top-1 "k" {"z":1,"b":"x"} h1 h2`},
		{one + "ReplaceField$Value; transforms.t.include=b", `top-1 "k" {"b":"x"} h1 h2`, `top-1 "k" {"b":"x"} h1 h2`},
		{one + "MaskField$Value; transforms.t.fields=a,b; transforms.t.replacement=***",
			`top-1 "k" {"a":0,"at":1700000000123,"b":"***","in":{"c":true}} h1 h2`,
			`top-1 "k" {"a":0,"b":"***","in":{"c":true},"at":1700000000123} h1 h2`},
		{one + "ExtractField$Value; transforms.t.field=b", `top-1 "k" "x" h1 h2`, `top-1 "k" "x" h1 h2`},
		{one + "HoistField$Key; transforms.t.field=id",
			`top-1 {"id":"k"} {"a":1,"at":1700000000123,"b":"x","in":{"c":true}} h1 h2`,
			`top-1 {"id":"k"} {"a":1,"b":"x","in":{"c":true},"at":1700000000123} h1 h2`},
		{"transforms=k,e; transforms.k.type=ValueToKey; transforms.k.fields=b; transforms.e.type=ExtractField$Key; transforms.e.field=b",
			`top-1 "x" {"a":1,"at":1700000000123,"b":"x","in":{"c":true}} h1 h2`,
			`top-1 "x" {"a":1,"b":"x","in":{"c":true},"at":1700000000123} h1 h2`},
		{one + "Flatten$Value; transforms.t.delimiter=_",
			`top-1 "k" {"a":1,"at":1700000000123,"b":"x","in_c":true} h1 h2`,
			`top-1 "k" {"a":1,"b":"x","in_c":true,"at":1700000000123} h1 h2`},
		{one + "Cast$Value; transforms.t.spec=a:string,at:float64",
			`top-1 "k" {"a":"1","at":1700000000123.0,"b":"x","in":{"c":true}} h1 h2`, ""},
		{one + "TimestampConverter$Value; transforms.t.field=at; transforms.t.target.type=string; transforms.t.format=yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",
			`top-1 "k" {"a":1,"at":"2023-11-14T22:13:20.123Z","b":"x","in":{"c":true}} h1 h2`,
			`top-1 "k" {"a":1,"b":"x","in":{"c":true},"at":"2023-11-14T22:13:20.123Z"} h1 h2`},
		{one + "TimestampConverter$Value; transforms.t.field=at; transforms.t.target.type=unix; transforms.t.unix.precision=milliseconds",
			`top-1 "k" {"a":1,"at":1700000000123,"b":"x","in":{"c":true}} h1 h2`,
			`top-1 "k" {"a":1,"b":"x","in":{"c":true},"at":1700000000123} h1 h2`},
		{"transforms=r,x; transforms.r.type=RegexRouter; transforms.r.regex=top-(.*); transforms.r.replacement=new$1x; transforms.x.type=ExtractField$Value; transforms.x.field=a",
			`new1x "k" 1 h1 h2`, `new1x "k" 1 h1 h2`},
		{"transforms=r,x; transforms.r.type=TimestampRouter; transforms.r.timestamp.format=yyyyMM; transforms.x.type=ExtractField$Value; transforms.x.field=a",
			`top-1-202311 "k" 1 h1 h2`, `top-1-202311 "k" 1 h1 h2`},
		{"transforms=d,i,x; transforms.d.type=DropHeaders; transforms.d.headers=h1; transforms.i.type=InsertHeader; transforms.i.header=n; transforms.i.value.literal=v; transforms.x.type=ExtractField$Value; transforms.x.field=a",
			`top-1 "k" 1 h2 n`, `top-1 "k" 1 h2 n`},
		{one + "Filter", "dropped", "dropped"},
		{one + "Filter; transforms.t.predicate=p; predicates=p; predicates.p.type=TopicNameMatches; predicates.p.pattern=top.*", "dropped", "dropped"},
		{one + "Filter; transforms.t.predicate=p; predicates=p; predicates.p.type=HasHeaderKey; predicates.p.name=h2", "dropped", "dropped"},
		{one + "Filter; transforms.t.predicate=p; transforms.t.negate=true; predicates=p; predicates.p.type=org.apache.kafka.connect.transforms.predicates.RecordIsTombstone", "dropped", "dropped"},
		{one + "Filter; transforms.t.predicate=p; predicates=p; predicates.p.type=TopicNameMatches; predicates.p.pattern=op",
			`top-1 "k" {"a":1,"at":1700000000123,"b":"x","in":{"c":true}} h1 h2`,
			`top-1 "k" {"a":1,"b":"x","in":{"c":true},"at":1700000000123} h1 h2`},
	} {
		ch := chain(t, c.props)
		for _, v := range []struct {
			r    *connect.Record
			want string
		}{{plain(), c.plain}, {typed(), c.typed}} {
			if v.want == "" {
				continue
			}
			got, err := ch.Apply(v.r)
			if err != nil {
				t.Errorf("%s: %v", c.props, err)
				continue
			}
			if s := show(t, got); s != v.want {
				t.Errorf("%s:\n got %s\nwant %s", c.props, s, v.want)
			}
			if got != nil {
				if err := data.Validate(got.ValueSchema, got.Value); err != nil {
					t.Errorf("%s: %v", c.props, err)
				}
			}
		}
	}
}

func TestTombstonesPass(t *testing.T) {
	for _, typ := range []string{"InsertField$Value; transforms.t.topic.field=t", "ReplaceField$Value", "MaskField$Value; transforms.t.fields=a",
		"Flatten$Value", "Cast$Value; transforms.t.spec=a:string", "ExtractField$Value; transforms.t.field=a", "TimestampConverter$Value; transforms.t.field=a; transforms.t.target.type=unix"} {
		r, err := chain(t, "transforms=t; transforms.t.type="+typ).Apply(&connect.Record{Topic: "t"})
		if err != nil || r == nil || r.Value != nil {
			t.Errorf("%s: %+v, %v", typ, r, err)
		}
	}
}

func TestEqualRecordsShareOneSchema(t *testing.T) {
	c := chain(t, "transforms=t; transforms.t.type=InsertField$Value; transforms.t.topic.field=t")
	a, b := typed(), typed()
	b.Value = data.StructOf(a.ValueSchema, int64(2), "y", nil, time.UnixMilli(1).UTC())
	x, err1 := c.Apply(a)
	y, err2 := c.Apply(b)
	if err1 != nil || err2 != nil || x.ValueSchema != y.ValueSchema {
		t.Errorf("schemas %p and %p, %v %v", x.ValueSchema, y.ValueSchema, err1, err2)
	}
}

func TestBadConfigurations(t *testing.T) {
	for _, c := range []struct {
		props map[string]string
		want  error
	}{
		{map[string]string{"transforms": "t"}, ErrUnknown},
		{map[string]string{"transforms": "t", "transforms.t.type": "Nope"}, ErrUnknown},
		{map[string]string{"transforms": "t", "transforms.t.type": "InsertField$Value"}, config.ErrInvalid},
		{map[string]string{"transforms": "t", "transforms.t.type": "ExtractField$Key"}, config.ErrInvalid},
		{map[string]string{"transforms": "t", "transforms.t.type": "Filter", "transforms.t.predicate": "p"}, config.ErrInvalid},
		{map[string]string{"transforms": "t", "transforms.t.type": "Cast$Value", "transforms.t.spec": "a:decimal"}, config.ErrInvalid},
		{map[string]string{"transforms": "t", "transforms.t.type": "RegexRouter", "transforms.t.regex": "(", "transforms.t.replacement": "x"}, config.ErrInvalid},
		{map[string]string{"transforms": "t", "transforms.t.type": "TimestampRouter", "transforms.t.timestamp.format": "QQ"}, config.ErrInvalid},
	} {
		if _, err := Build(c.props); !errors.Is(err, c.want) {
			t.Errorf("%v: %v", c.props, err)
		}
	}
}

func TestRecordsThatDoNotFit(t *testing.T) {
	for _, props := range []string{
		"transforms=t; transforms.t.type=InsertField$Key; transforms.t.topic.field=t",
		"transforms=t; transforms.t.type=ExtractField$Key; transforms.t.field=x",
		"transforms=t; transforms.t.type=Cast$Value; transforms.t.spec=b:int32",
		"transforms=t; transforms.t.type=ReplaceField$Value; transforms.t.renames=a:b",
		"transforms=t; transforms.t.type=TimestampConverter$Value; transforms.t.field=b; transforms.t.target.type=unix",
	} {
		if _, err := chain(t, props).Apply(plain()); !errors.Is(err, ErrTransform) {
			t.Errorf("%s: %v", props, err)
		}
	}
}
