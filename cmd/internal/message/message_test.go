package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func record(key, value string) *kgo.Record {
	return &kgo.Record{
		Topic: "orders", Partition: 2, Offset: 41, Timestamp: time.UnixMilli(1_700_000_000_123),
		Key: []byte(key), Value: []byte(value), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("x")}},
	}
}

func TestFilter(t *testing.T) {
	r := record("k1", `{"city":"Paris","amount":950.5,"tags":["a"]}`)
	tests := []struct {
		expr  string
		match bool
		fails bool
	}{
		{"", true, false},
		{`value.city == "Paris" && value.amount > 900`, true, false},
		{`value.city == "Rome"`, false, false},
		{`value.nothing == nil`, true, false},
		{`"a" in value.tags`, true, false},
		{`key == "k1" and topic == "orders" and partition == 2 and offset == 41`, true, false},
		{`headers["h"] == "x"`, true, false},
		{`headers.missing == ""`, true, false},
		{`ts.Year() == 2023`, true, false},
		{`ts > date("2023-01-01")`, true, false},
		{`value.city.deep == 1`, false, true},
		{`value > 5`, false, true},
		{`$env["key"] == "k1"`, true, false},
	}
	for _, tt := range tests {
		f, err := CompileFilter(tt.expr)
		if err != nil {
			t.Errorf("%s: %v", tt.expr, err)
			continue
		}
		for range 2 { // the second run reuses a machine
			got, err := f.Match(r)
			if got != tt.match || (err != nil) != tt.fails {
				t.Errorf("%s: %v, %v", tt.expr, got, err)
			}
		}
	}
	for _, text := range []string{"vlue.x == 1", "offset + 1", "((", `topic == 1`} {
		if _, err := CompileFilter(text); !errors.Is(err, ErrFilter) {
			t.Errorf("%s compiled: %v", text, err)
		}
	}
	f, _ := CompileFilter(`value contains "plain"`)
	if got, err := f.Match(record("", "some plain text")); !got || err != nil {
		t.Errorf("text value: %v, %v", got, err)
	}
	f, _ = CompileFilter(`value == nil`)
	if got, _ := f.Match(&kgo.Record{}); !got {
		t.Error("a missing value is not nil")
	}
	f, _ = CompileFilter(`len(map(1..100000000, # * 2)) > 0`)
	if _, err := f.Match(&kgo.Record{}); err == nil {
		t.Error("an expression without bounds was evaluated")
	}
}

func TestFormatAppend(t *testing.T) {
	r := record("k", "v\xff")
	tests := []struct{ format, want string }{
		{`%t/%p@%o %k=%v\n`, "orders/2@41 k=v\xff\n"},
		{`%v{hex} %v{base64} %k{hex}`, "76ff dv8= 6b"},
		{`%d %T %h %%`, "2023-11-14T22:13:20.123Z 1700000000123 h=x %"},
		{`a\t\r\\\x41\0`, "a\t\r\\A\x00"},
		{``, ``},
		{`ndjson`, `{"topic":"orders","partition":2,"offset":41,"ts":"2023-11-14T22:13:20.123Z","ts_ms":1700000000123,"key":"k","value":null,"value_base64":"dv8=","headers":[{"key":"h","value":"x"}]}` + "\n"},
	}
	for _, tt := range tests {
		f, err := ParseFormat(tt.format)
		if err != nil {
			t.Errorf("%s: %v", tt.format, err)
			continue
		}
		if got := string(f.Append(nil, r)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.format, got, tt.want)
		}
	}
	for _, bad := range []string{`%`, `%x`, `\`, `\x4`, `\xzz`, `\q`, `%v{`, `%v{gzip}`, `%t{hex}`} {
		if _, err := ParseFormat(bad); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// readAll describes what a reader finds: key|value|partition per record.
func readAll(t *testing.T, format, input string) (string, error) {
	t.Helper()
	f, err := ParseFormat(format)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(f, iotestReader(input))
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for {
		rec, err := r.Read()
		if err == io.EOF {
			return out.String(), nil
		}
		if err != nil {
			return out.String(), err
		}
		both, _ := ParseFormat(`%k|%v|%p;`)
		out.Write(both.Append(nil, rec))
	}
}

// iotestReader gives a byte at a time, so that no delimiter is seen whole.
func iotestReader(s string) io.Reader { return &oneByte{strings.NewReader(s)} }

type oneByte struct{ r io.Reader }

func (o *oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

func TestReader(t *testing.T) {
	tests := []struct{ format, input, want, fails string }{
		{`%v\n`, "a\nb\n\nc", "|a|-1;|b|-1;||-1;|c|-1;", ""},
		{`%v`, "a\nb\n", "|a|-1;|b|-1;", ""},
		{`%k\t%v\n`, "k\tv\nk2\tv\t2\n", "k|v|-1;k2|v\t2|-1;", ""},
		{`%k--%v##`, "a-b--c#d##e--f", "a-b|c#d|-1;e|f|-1;", ""},
		{`<%k=%v>\n`, "<a=1>\n<b=2>\n", "a|1|-1;b|2|-1;", ""},
		{`%p %v{hex}\n`, "3 6869\n", "|hi|3;", ""},
		{`%v{base64}\n`, "aGk=\n", "|hi|-1;", ""},
		{`%k\t%v\n`, "k\tv\nbroken\n", "k|v|-1;", "record 2"},
		{`<%v>`, "x", "", "record 1"},
		{`%p %v\n`, "x y\n", "", "partition"},
		{`%v{hex}\n`, "zz\n", "", "record 1"},
		{`%o %v\n`, "", "", "cannot be produced"},
		{`%k%v\n`, "", "", "text after it"},
		{``, "", "", "empty"},
		{`ndjson`, `{"key":"k","value":"v","partition":4}` + "\n\n" + `{"value":{"a": 1}}` + "\n" + `{"value_base64":"aGk="}`, `k|v|4;|{"a": 1}|-1;|hi|-1;`, ""},
		{`ndjson`, "{\n", "", "record 1"},
		{`ndjson`, `{"value_base64":"?"}`, "", "value"},
	}
	for _, tt := range tests {
		got, err := readAll(t, tt.format, tt.input)
		if got != tt.want {
			t.Errorf("%s on %q: %q, want %q", tt.format, tt.input, got, tt.want)
		}
		if tt.fails == "" && err != nil || tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)) {
			t.Errorf("%s on %q: error %v, want one with %q", tt.format, tt.input, err, tt.fails)
		}
	}
}

func FuzzJSONRoundTrip(f *testing.F) {
	f.Add([]byte("k"), []byte("v"), "h", []byte("x"))
	f.Add([]byte(nil), []byte{0xff}, "<>", []byte(nil))
	f.Fuzz(func(t *testing.T, key, value []byte, name string, header []byte) {
		in := &kgo.Record{Key: key, Value: value, Headers: []kgo.RecordHeader{{Key: strings.ToValidUTF8(name, ""), Value: header}}}
		if len(value) == 0 {
			in.Value = nil
		}
		out, err := ParseJSON(appendJSON(nil, FromRecord(in)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(in.Key, out.Key) || !bytes.Equal(in.Value, out.Value) || (in.Value == nil) != (out.Value == nil) ||
			in.Headers[0].Key != out.Headers[0].Key || !bytes.Equal(header, out.Headers[0].Value) {
			t.Fatalf("%+v came back as %+v", in, out)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add(`%k\t%v\n`, []byte("a\tb\nc"))
	f.Add(`ndjson`, []byte("{}\n[1]"))
	f.Fuzz(func(t *testing.T, format string, input []byte) {
		compiled, err := ParseFormat(format)
		if err != nil {
			return
		}
		r, err := NewReader(compiled, bytes.NewReader(input))
		if err != nil {
			return
		}
		for range len(input) + 2 {
			if _, err := r.Read(); err != nil {
				return
			}
		}
		t.Fatal("more records than bytes")
	})
}

func TestParseRange(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) Position { return Position{Kind: AtTime, Time: now.Add(d)} }
	none := Position{Kind: Unbounded}
	end := Position{Kind: FromEnd}
	tests := []struct {
		text     string
		from, to Position
	}{
		{"start", Position{}, none}, {"earliest", Position{}, none}, {"end", end, none},
		{"42", Position{Kind: AtOffset, Offset: 42}, none},
		{"-10", Position{Kind: FromEnd, Offset: 10}, none}, {"+5", Position{Offset: 5}, none},
		{"5:9", Position{Kind: AtOffset, Offset: 5}, Position{Kind: AtOffset, Offset: 9}},
		{"start:-1", Position{}, Position{Kind: FromEnd, Offset: 1}}, {"7:", Position{Kind: AtOffset, Offset: 7}, none},
		{"@-1h", at(-time.Hour), none}, {"@-1d2h", at(-26 * time.Hour), none}, {"@-2d", at(-48 * time.Hour), none},
		{"@-1h:-30m", at(-time.Hour), at(-30 * time.Minute)}, {"@-1h:@-30m", at(-time.Hour), at(-30 * time.Minute)},
		{"@-1h:end", at(-time.Hour), end},
		{"@2026-11-21T10:00:00Z", at(-2 * time.Hour), none}, {"@2026-11-21T10:00", at(-2 * time.Hour), none},
		{"@2026-11-21", at(-12 * time.Hour), none},
		{"@2026-11-21T10:00:00Z:@2026-11-21T11:00:00Z", at(-2 * time.Hour), at(-time.Hour)},
		{"@2026-11-21T10:00:00Z:end", at(-2 * time.Hour), end},
		{"@1795262400000", at(0), none},
	}
	for _, tt := range tests {
		from, to, err := ParseRange(tt.text, now)
		same := func(a, b Position) bool { return a.Kind == b.Kind && a.Offset == b.Offset && a.Time.Equal(b.Time) }
		if err != nil || !same(from, tt.from) || !same(to, tt.to) {
			t.Errorf("%s: %+v, %+v, %v; want %+v, %+v", tt.text, from, to, err, tt.from, tt.to)
		}
	}
	for _, bad := range []string{"", "middle", "@", "@-", "@-1x", "@yesterday", "-9223372036854775808", "1:x", "@--1h", "@-99999d"} {
		if _, _, err := ParseRange(bad, now); !errors.Is(err, ErrPosition) && err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestResolve(t *testing.T) {
	tests := []struct {
		p    Position
		want int64
	}{
		{Position{}, 10}, {Position{Offset: 3}, 13}, {Position{Offset: 99}, 20},
		{Position{Kind: FromEnd}, 20}, {Position{Kind: FromEnd, Offset: 4}, 16}, {Position{Kind: FromEnd, Offset: 99}, 10},
		{Position{Kind: AtOffset, Offset: 15}, 15}, {Position{Kind: AtOffset, Offset: 1}, 10}, {Position{Kind: AtOffset, Offset: 99}, 20},
		{Position{Kind: AtTime}, 17},
	}
	for _, tt := range tests {
		if got := tt.p.Resolve(10, 20, 17); got != tt.want {
			t.Errorf("%+v: %d, want %d", tt.p, got, tt.want)
		}
	}
	if got := (Position{Kind: AtTime}).Resolve(10, 20, -1); got != 20 {
		t.Errorf("no record at that time: %d", got)
	}
}

func BenchmarkFilter(b *testing.B) {
	f, err := CompileFilter(`value.city == "Paris" && value.amount > 900`)
	if err != nil {
		b.Fatal(err)
	}
	r := record("k1", `{"city":"Paris","amount":950.5,"tags":["a"]}`)
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := f.Match(r); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
