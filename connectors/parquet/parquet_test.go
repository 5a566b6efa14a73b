package parquet

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pq "github.com/parquet-go/parquet-go"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/connecttest"
	"github.com/leatstream/leat/connect/data"
)

func TestConformance(t *testing.T) {
	dir := t.TempDir()
	props := map[string]string{"path": dir, "flush.size": "10"}
	connecttest.CheckSink(t, Plugin(), func() connect.SinkTask { return Plugin().Sink().NewTask() }, props, makeLogs(35))
	left, err := filepath.Glob(filepath.Join(dir, ".tmp", "*", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v %v", left, err)
	}
}

// writeOne writes records with the given columns and opens the result.
func writeOne(t *testing.T, columns []column, records ...*connect.Record) *pq.File {
	t.Helper()
	m := newMemory()
	out, err := m.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	f := newOpenFile("f", out, 0, columns, codecs()["zstd"](), time.Now())
	for _, r := range records {
		if err := f.add(r, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.close(map[string]string{"leat.start": "0"}); err != nil {
		t.Fatal(err)
	}
	file, err := pq.OpenFile(bytes.NewReader(m.files["f"]), int64(len(m.files["f"])))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// describe prints the schema and rows of a file, one line each.
func describe(t *testing.T, f *pq.File) string {
	t.Helper()
	var b strings.Builder
	for _, c := range f.Root().Columns() {
		typ := c.Type().String()
		if c.Optional() {
			typ += "?"
		}
		fmt.Fprintf(&b, "%s:%s ", c.Name(), typ)
	}
	b.WriteByte('\n')
	for _, rg := range f.RowGroups() {
		rows := rg.Rows()
		defer rows.Close()
		buf := make([]pq.Row, 10)
		for {
			n, err := rows.ReadRows(buf)
			for _, row := range buf[:n] {
				for _, v := range row {
					fmt.Fprintf(&b, "%s|", v)
				}
				b.WriteByte('\n')
			}
			if err != nil {
				break
			}
		}
	}
	return b.String()
}

const metaTypes = "_extra:STRING? _kafka_key:STRING? _kafka_topic:STRING _kafka_partition:INT(32,true) _kafka_offset:INT(64,true) _kafka_timestamp:TIMESTAMP(isAdjustedToUTC=true,unit=MICROS)? \n"

func value(v any) *connect.Record {
	return &connect.Record{Topic: "t", Origin: tpA, Value: v}
}

func TestDeclaredColumns(t *testing.T) {
	cols, err := parseColumns([]string{"at:timestamp", "Member-Id:long", "ms:double", "ok:bool", "day:date", "tags:json", "n:int"})
	if err != nil {
		t.Fatal(err)
	}
	got := describe(t, writeOne(t, cols,
		value(map[string]any{"at": int64(1500), "Member-Id": int64(7), "ms": int64(2), "ok": true, "day": "1970-01-03", "tags": []any{"a"}, "n": 3.0, "more": "x"}),
		value(map[string]any{"at": "1970-01-01T00:00:01Z", "Member-Id": "seven", "n": int64(1) << 40}),
		value("no object"), value(nil)))
	want := "at:TIMESTAMP(isAdjustedToUTC=true,unit=MICROS)? member_id:INT(64,true)? ms:DOUBLE? ok:BOOLEAN? day:DATE? tags:STRING? n:INT(32,true)? " + metaTypes +
		"1500000|7|2|true|2|[\"a\"]|3|{\"more\":\"x\"}|<null>|t|0|0|<null>|\n" +
		"1000000|<null>|<null>|<null>|<null>|<null>|<null>|{\"Member-Id\":\"seven\",\"n\":1099511627776}|<null>|t|0|0|<null>|\n" +
		"<null>|<null>|<null>|<null>|<null>|<null>|<null>|{\"value\":\"no object\"}|<null>|t|0|0|<null>|\n" +
		"<null>|<null>|<null>|<null>|<null>|<null>|<null>|<null>|<null>|t|0|0|<null>|\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestColumnsOfTheRecordsSchema(t *testing.T) {
	s := data.NewRecord("r",
		data.Field{Name: "z", Schema: data.Int8Schema}, data.Field{Name: "at", Schema: data.TimestampSchema},
		data.Field{Name: "a", Schema: data.OptionalStringSchema}, data.Field{Name: "m", Schema: data.NewMap(data.StringSchema, data.StringSchema)})
	r := value(data.StructOf(s, int8(1), time.UnixMilli(2).UTC(), nil, map[string]any{"k": "v"}))
	r.ValueSchema = s
	got := describe(t, writeOne(t, nil, r))
	want := "z:INT(32,true)? at:TIMESTAMP(isAdjustedToUTC=true,unit=MICROS)? a:STRING? m:STRING? " + metaTypes + "1|2000|<null>|{\"k\":\"v\"}|<null>|<null>|t|0|0|<null>|\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestInferredColumns(t *testing.T) {
	got := describe(t, writeOne(t, nil,
		value(map[string]any{"i": int64(1), "d": int64(1), "x": "a", "o": map[string]any{"p": int64(1)}}),
		value(map[string]any{"i": int64(2), "d": 1.5, "x": true})))
	want := "d:DOUBLE? i:INT(64,true)? o:STRING? x:STRING? " + metaTypes +
		"1|1|{\"p\":1}|a|<null>|<null>|t|0|0|<null>|\n1.5|2|<null>|true|<null>|<null>|t|0|0|<null>|\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNamesAreUniqueAndPlain(t *testing.T) {
	cols, err := parseColumns([]string{"A b:string", "a_b:string", "a-b:string", "_kafka_offset:long", "_extra:string"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range cols {
		got = append(got, c.name)
	}
	if want := []string{"a_b", "a_b_2", "a_b_3", "_kafka_offset_2", "_extra_2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, bad := range []string{"x", "x:", ":long", "x:varchar"} {
		if _, err := parseColumns([]string{bad}); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
}

// Older readers know only data pages of version 1 with plain or dictionary encoding.
func TestPagesForOldReaders(t *testing.T) {
	f := writeOne(t, nil, value(map[string]any{"s": "a", "n": int64(1)}))
	if by := f.Metadata().CreatedBy; !strings.HasPrefix(by, "leat version "+Version) {
		t.Errorf("created by %q", by)
	}
	for _, c := range f.Metadata().RowGroups[0].Columns {
		for _, e := range c.MetaData.Encoding {
			if s := e.String(); s != "PLAIN" && s != "RLE" && s != "RLE_DICTIONARY" && s != "PLAIN_DICTIONARY" {
				t.Errorf("column %v has encoding %s", c.MetaData.PathInSchema, s)
			}
		}
		for _, s := range c.MetaData.EncodingStats {
			if s.PageType.String() == "DATA_PAGE_V2" {
				t.Errorf("column %v has version 2 pages", c.MetaData.PathInSchema)
			}
		}
	}
}

func TestRolling(t *testing.T) {
	for name, c := range map[string]struct {
		props map[string]string
		want  int // files after 30 records, one a second, and 10 idle seconds
	}{
		"rows":  {map[string]string{"flush.size": "10"}, 3},
		"age":   {map[string]string{"rotate.interval.ms": "6000"}, 5},
		"idle":  {map[string]string{"rotate.idle.ms": "5000"}, 1},
		"never": {map[string]string{}, 0},
		"bytes": {map[string]string{"rotate.bytes": "1"}, 30},
	} {
		t.Run(name, func(t *testing.T) {
			m, clock := newMemory(), time.UnixMilli(0)
			props := map[string]string{"path": "/", "rotate.interval.ms": "-1", "rotate.idle.ms": "-1"}
			for k, v := range c.props {
				props[k] = v
			}
			logs := map[connect.TopicPartition][]*connect.Record{}
			for i := range int64(30) {
				logs[tpA] = append(logs[tpA], record(tpA, i))
			}
			s := connecttest.NewSink(t, func() connect.SinkTask { return &task{storage: m, now: func() time.Time { return clock }} }, props, logs, 1)
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			for range 40 {
				if _, err := s.Step(); err != nil {
					t.Fatal(err)
				}
				clock = clock.Add(time.Second)
			}
			if got := len(m.files); got != c.want {
				t.Errorf("%d files, want %d", got, c.want)
			}
			if err := s.Finish(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := newMemory()
	logs := map[connect.TopicPartition][]*connect.Record{}
	for i := range int64(3000) {
		r := record(tpA, i)
		r.Value = map[string]any{"s": strings.Repeat(fmt.Sprint(i), 300)}
		logs[tpA] = append(logs[tpA], r)
	}
	s := connecttest.NewSink(t, func() connect.SinkTask { return &task{storage: m} },
		map[string]string{"path": "/", "memory.bytes": "1048576"}, logs, 100)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := s.Step()
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		for _, p := range s.Task().(*task).parts {
			if held := p.file.held(); held > 1<<20 {
				t.Fatalf("%d bytes held", held)
			}
		}
	}
	if err := s.Finish(); err != nil {
		t.Fatal(err)
	}
}

func TestLocalNeverReplaces(t *testing.T) {
	dir := t.TempDir()
	l := NewLocal(dir)
	for _, n := range []string{"a", "b"} {
		f, err := l.Create(".tmp/" + n)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(n)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.RenameNoReplace(".tmp/a", "x/y/final"); err != nil {
		t.Fatal(err)
	}
	if err := l.RenameNoReplace(".tmp/b", "x/y/final"); !os.IsExist(err) {
		t.Errorf("renaming over a file: %v", err)
	}
	if _, err := l.Create("x/y/final"); !os.IsExist(err) {
		t.Errorf("creating over a file: %v", err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "x/y/final"))
	if err != nil || string(b) != "a" {
		t.Errorf("final holds %q, %v", b, err)
	}
	if err := linkNoReplace(filepath.Join(dir, ".tmp/b"), filepath.Join(dir, "x/y/final")); !os.IsExist(err) {
		t.Errorf("linking over a file: %v", err)
	}
	if names, err := l.List("nowhere"); err != nil || len(names) > 0 {
		t.Errorf("list of a missing folder: %v %v", names, err)
	}
	if err := l.Remove("nowhere/x"); err != nil {
		t.Errorf("removing a missing file: %v", err)
	}
}

func BenchmarkWriteRow(b *testing.B) {
	cols, err := parseColumns([]string{"n:long", "s:string"})
	if err != nil {
		b.Fatal(err)
	}
	m := newMemory()
	out, err := m.Create("f")
	if err != nil {
		b.Fatal(err)
	}
	f := newOpenFile("f", out, 0, cols, codecs()["zstd"](), time.Now())
	records := make([]*connect.Record, 1000)
	for i := range records {
		records[i] = record(tpA, int64(i))
	}
	now := time.Now()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := f.add(records[i%1000], now); err != nil {
			b.Fatal(err)
		}
	}
}
