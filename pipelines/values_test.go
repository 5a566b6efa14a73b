package pipelines

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

// Whatever has been added, totals survive being stored between any two values.
func TestTotalsSurviveBeingStored(t *testing.T) {
	all := aggregators()
	var fields []aggregateField
	for _, name := range slices.Sorted(slices.Values(keys(all))) {
		fields = append(fields, aggregateField{name: name, fn: all[name], arg: &expression{typ: Type{Kind: KindInt}}})
	}
	serde := totalsSerde{fields}
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.IntRange(-1000, 1000), 0, 600).Draw(t, "values")
		kept, stored := newTotals(fields), newTotals(fields)
		for _, v := range values {
			for i := range fields {
				if err := kept[i].add(v); err != nil {
					t.Fatal(err)
				}
				if err := stored[i].add(v); err != nil {
					t.Fatal(err)
				}
			}
			data, err := serde.Append(nil, stored)
			if err != nil {
				t.Fatal(err)
			}
			if stored, err = serde.Decode(data); err != nil {
				t.Fatal(err)
			}
		}
		want, _ := json.Marshal(kept.row(fields))
		got, _ := json.Marshal(stored.row(fields))
		if string(got) != string(want) {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

func TestAggregators(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		fn     string
		arg    Kind
		values []any
		want   any
	}{
		{"count", KindAny, []any{1, nil, "x"}, 2},
		{"sum", KindInt, []any{1, nil, 2}, 3},
		{"sum", KindFloat, []any{1, 0.5}, 1.5},
		{"avg", KindInt, []any{1, nil, 2}, 1.5},
		{"avg", KindInt, nil, nil},
		{"min", KindInt, []any{3, 1, 2}, 1},
		{"max", KindString, []any{"a", "c", "b"}, "c"},
		{"max", KindTimestamp, []any{at, at.Add(time.Second)}, at.Add(time.Second)},
		{"first", KindAny, []any{nil, "a", "b"}, "a"},
		{"last", KindAny, []any{"a", "b", nil}, "b"},
		{"count_distinct", KindString, []any{"a", "b", "a", nil}, 2},
	} {
		acc := aggregators()[c.fn].make(Type{Kind: c.arg})
		for _, v := range c.values {
			if err := acc.add(v); err != nil {
				t.Errorf("%s: %v", c.fn, err)
			}
		}
		if got := acc.result(); got != c.want {
			t.Errorf("%s%v = %v, want %v", c.fn, c.values, got, c.want)
		}
	}
}

func TestSumReportsOverflow(t *testing.T) {
	s := &sum{whole: true}
	if err := s.add(math.MaxInt); err != nil {
		t.Fatal(err)
	}
	if err := s.add(1); err == nil {
		t.Error("an overflow went unnoticed")
	}
	if s.result() != math.MaxInt {
		t.Error("a failed addition changed the sum")
	}
}

// The estimate stays within three standard errors (1.6 % each).
func TestDistinctEstimates(t *testing.T) {
	d := new(distinct)
	for i := range 200_000 {
		if err := d.add("member " + strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
		if n := i + 1; n == exactLimit || n == 1000 || n == 20_000 || n == 200_000 {
			got := d.result().(int)
			if off := math.Abs(float64(got-n)) / float64(n); off > 0.049 || (n <= exactLimit && got != n) {
				t.Errorf("%d distinct values counted as %d", n, got)
			}
		}
	}
}

func FuzzTotalsDecode(f *testing.F) {
	all := aggregators()
	var fields []aggregateField
	for name := range all {
		fields = append(fields, aggregateField{name: name, fn: all[name], arg: &expression{typ: Type{Kind: KindFloat}}})
	}
	f.Add([]byte{0, 1, 2, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		totals, err := totalsSerde{fields}.Decode(data)
		if err != nil {
			return
		}
		totals.row(fields)
	})
}

func TestRowsKeepWhatIsNotDeclared(t *testing.T) {
	rows := jsonRows{[]Field{{"b", Type{Kind: KindInt}}, {"at", Type{Kind: KindTimestamp}}, {"n", Type{Kind: KindString, Nullable: true}}}}
	for in, want := range map[string]string{
		`{"a":1.50,"at":1000,"b":2,"z":{"y":[1]}}`:           `{"b":2,"at":"1970-01-01T00:00:01Z","n":null,"a":1.50,"z":{"y":[1]}}`,
		`{"b":3.0,"at":"2026-01-01T01:00:00+01:00","n":"ü"}`: `{"b":3,"at":"2026-01-01T00:00:00Z","n":"ü"}`,
	} {
		v, err := rows.Decode([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		got, err := rows.Append(nil, v)
		if err != nil || string(got) != want {
			t.Errorf("%s became %s (%v), want %s", in, got, err, want)
		}
	}
	for _, bad := range []string{`[]`, `{`, `{"at":1}`, `{"b":"x","at":1}`, `{"b":1.5,"at":1}`, `{"b":1,"at":"yesterday"}`, `{"b":null,"at":1}`} {
		if _, err := rows.Decode([]byte(bad)); err == nil {
			t.Errorf("%s decoded", bad)
		}
	}
}

// plainRow decodes by encoding/json, the slow way.
func plainRow(data []byte, fields []Field) (map[string]any, bool) {
	var raw map[string]json.RawMessage
	if json.Unmarshal(data, &raw) != nil || raw == nil {
		return nil, false
	}
	row := map[string]any{}
	for name, v := range raw {
		row[name] = v
	}
	for _, f := range fields {
		v, ok := raw[f.Name]
		if !ok || string(v) == "null" {
			if !f.Type.Nullable && f.Type.Kind != KindAny {
				return nil, false
			}
			row[f.Name] = nil
			continue
		}
		var err error
		switch f.Type.Kind {
		case KindString:
			var s string
			err = json.Unmarshal(v, &s)
			row[f.Name] = s
		case KindFloat:
			var x float64
			err = json.Unmarshal(v, &x)
			row[f.Name] = x
		case KindBool:
			var b bool
			err = json.Unmarshal(v, &b)
			row[f.Name] = b
		default:
			var x any
			err = json.Unmarshal(v, &x)
			row[f.Name] = x
		}
		if err != nil {
			return nil, false
		}
	}
	return row, true
}

func FuzzRowDecode(f *testing.F) {
	fields := []Field{{"s", Type{Kind: KindString}}, {"x", Type{Kind: KindFloat, Nullable: true}}, {"b", Type{Kind: KindBool, Nullable: true}}, {`a\b`, Type{Kind: KindAny}}}
	for _, seed := range []string{
		`{"s":"x","x":1.5e3,"b":true,"more":[1,{"y":null}]}`, ` {"x":null,"s":"\u00fc\n"} `, `{"s":"a","s":"b"}`, `{"\u0073":"escaped name"}`,
		`{"a\\b":1,"s":""}`, `{"a\\\\b":1,"s":""}`, `null`, `[]`, `{"s":"x"}{}`, `{"s":"x"`, "{\"s\":\"\xff\"}", "{\"\xff\":1,\"s\":\"\"}", `{"s":"x","x":1e999}`, `{"s":null}`, `{"s":"x",}`,
		`{"s":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		want, ok := plainRow(data, fields)
		got, err := jsonRows{fields}.Decode(data)
		if err != nil && !jsontext.Value(data).IsValid(jsontext.AllowInvalidUTF8(true)) {
			return // a name comes twice, and we look at both values
		}
		if ok != (err == nil) {
			t.Fatalf("%q: %v, but encoding/json: %v", data, err, want)
		}
		if ok && !reflect.DeepEqual(got, any(want)) {
			t.Errorf("%q: %#v, want %#v", data, got, want)
		}
	})
}

func BenchmarkRowDecode(b *testing.B) {
	fields := []Field{{"event_id", Type{Kind: KindString}}, {"at", Type{Kind: KindTimestamp}}, {"action", Type{Kind: KindString}}, {"member_id", Type{Kind: KindInt}}, {"page", Type{Kind: KindString}}, {"ms", Type{Kind: KindFloat}}}
	data := []byte(`{"event_id":"1-000000119212","at":1795291075046,"action":"search","member_id":236,"page":"/search","query":"biology","country":"DE","session":"34mtwgpp","ms":20.08,"device":"desktop","bot":false}`)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (jsonRows{fields}).Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}
