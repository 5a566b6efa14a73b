package parquet

import (
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/gzip"
	"github.com/parquet-go/parquet-go/compress/snappy"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/data"
)

// metaColumns say where each row came from; they follow the value's columns.
var metaColumns = []string{"_kafka_key", "_kafka_topic", "_kafka_partition", "_kafka_offset", "_kafka_timestamp"}

// Sizes of what is held in memory before it is written.
const (
	rowGroupBytes = 128 << 20
	pageBytes     = 1 << 20
	chunkRows     = 1000    // records that are turned into columns at once
	chunkBytes    = 4 << 20 // or fewer, when they are this large
)

// orderedGroup is a group whose columns stay in the given order; a plain
// parquet.Group sorts them.
type orderedGroup struct {
	pq.Group
	order []string
}

// Fields implements parquet.Node.
func (g orderedGroup) Fields() []pq.Field {
	fields := g.Group.Fields()
	slices.SortFunc(fields, func(a, b pq.Field) int {
		return slices.Index(g.order, a.Name()) - slices.Index(g.order, b.Name())
	})
	return fields
}

// fileWriter turns records into one Parquet file, column by column.
type fileWriter struct {
	columns []column
	taken   map[string]bool // the fields that have a column
	writer  *pq.GenericWriter[any]
	arena   arena
	values  []pq.Value // one column of one chunk
	extras  []map[string]any
}

// newFileWriter writes to w with the given columns, which must be settled before the first row.
func newFileWriter(w io.Writer, columns []column, codec compress.Codec) *fileWriter {
	g := orderedGroup{Group: pq.Group{}}
	add := func(name string, n pq.Node) {
		g.Group[name] = n
		g.order = append(g.order, name)
	}
	taken := make(map[string]bool, len(columns))
	for _, c := range columns {
		add(c.name, pq.Optional(c.node()))
		taken[c.field] = true
	}
	add(extraColumn, pq.Optional(pq.String()))
	add(metaColumns[0], pq.Optional(pq.String()))
	add(metaColumns[1], pq.String())
	add(metaColumns[2], pq.Int(32))
	add(metaColumns[3], pq.Int(64))
	add(metaColumns[4], pq.Optional(pq.Timestamp(pq.Microsecond)))
	return &fileWriter{columns: columns, taken: taken, writer: pq.NewGenericWriter[any](w,
		pq.NewSchema("record", g),
		pq.DataPageVersion(1),
		pq.DefaultEncodingFor(pq.ByteArray, &pq.RLEDictionary),
		pq.DictionaryMaxBytes(1<<20),
		pq.PageBufferSize(pageBytes),
		pq.Compression(codec),
		pq.SkipPageBounds(extraColumn),
		pq.CreatedBy("leat", Version, "leat"),
	)}
}

// codecs are the values of the compression setting.
func codecs() map[string]func() compress.Codec {
	return map[string]func() compress.Codec{
		"zstd":   func() compress.Codec { return &zstd.Codec{Level: zstd.SpeedDefault, Concurrency: 1} },
		"snappy": func() compress.Codec { return &snappy.Codec{} },
		"gzip":   func() compress.Codec { return &gzip.Codec{Level: gzip.DefaultCompression} },
		"none":   func() compress.Codec { return &pq.Uncompressed },
	}
}

// write adds records as rows.
func (f *fileWriter) write(records []*connect.Record) error {
	f.arena.b = f.arena.b[:0]
	f.extras = append(f.extras[:0], make([]map[string]any, len(records))...)
	writers := f.writer.ColumnWriters()
	for i, c := range f.columns {
		f.values = f.values[:0]
		for row, r := range records {
			f.values = append(f.values, f.cell(c, i, row, r))
		}
		if _, err := writers[i].WriteRowValues(f.values); err != nil {
			return fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	for row, r := range records {
		f.leftOver(row, r.Value)
	}
	return f.writeMeta(writers[len(f.columns):], len(f.columns), records)
}

// cell is one value of one column, null if there is none or it does not fit;
// what does not fit is kept as an extra.
func (f *fileWriter) cell(c column, i, row int, r *connect.Record) pq.Value {
	v := lookup(r.Value, c.field)
	if v == nil {
		return null(i)
	}
	x, ok := c.encode(&f.arena, v)
	if !ok {
		f.extra(row, c.field, v)
		return null(i)
	}
	return x.Level(0, 1, i)
}

func null(column int) pq.Value { return pq.NullValue().Level(0, 0, column) }

// lookup reads a field of a record's value; "" is the whole value, if that is no object.
func lookup(v any, field string) any {
	switch t := v.(type) {
	case map[string]any:
		if field == "" {
			return nil
		}
		return t[field]
	case *data.Struct:
		if field == "" {
			return nil
		}
		x, _ := t.Get(field)
		return x
	}
	if field == "" {
		return v
	}
	return nil
}

func (f *fileWriter) extra(row int, field string, v any) {
	if f.extras[row] == nil {
		f.extras[row] = map[string]any{}
	}
	if field == "" {
		field = "value"
	}
	f.extras[row][field] = v
}

// leftOver notes the fields that no column takes.
func (f *fileWriter) leftOver(row int, v any) {
	switch t := v.(type) {
	case nil:
	case map[string]any:
		for name, x := range t {
			if x != nil && !f.taken[name] {
				f.extra(row, name, x)
			}
		}
	case *data.Struct:
		for i, fl := range t.Schema().Fields {
			if x := t.At(i); x != nil && !f.taken[fl.Name] {
				f.extra(row, fl.Name, x)
			}
		}
	default:
		if !f.taken[""] {
			f.extra(row, "", v)
		}
	}
}

// writeMeta writes _extra and the columns that say where rows came from; first
// is the index of _extra's column.
func (f *fileWriter) writeMeta(writers []*pq.ColumnWriter, first int, records []*connect.Record) error {
	cells := []func(column, row int, r *connect.Record) pq.Value{
		f.extraCell,
		func(i, _ int, r *connect.Record) pq.Value {
			if r.Key == nil {
				return null(i)
			}
			if x, ok := encodeKey(&f.arena, r.Key); ok {
				return x.Level(0, 1, i)
			}
			return null(i)
		},
		func(i, _ int, r *connect.Record) pq.Value { return f.arena.string(r.Origin.Topic).Level(0, 0, i) },
		func(i, _ int, r *connect.Record) pq.Value { return pq.Int32Value(r.Origin.Partition).Level(0, 0, i) },
		func(i, _ int, r *connect.Record) pq.Value { return pq.Int64Value(r.Offset).Level(0, 0, i) },
		func(i, _ int, r *connect.Record) pq.Value {
			if r.Timestamp.IsZero() {
				return null(i)
			}
			return pq.Int64Value(r.Timestamp.UnixMicro()).Level(0, 1, i)
		},
	}
	for n, cell := range cells {
		f.values = f.values[:0]
		for row, r := range records {
			f.values = append(f.values, cell(first+n, row, r))
		}
		if _, err := writers[n].WriteRowValues(f.values); err != nil {
			return fmt.Errorf("column %d: %w", first+n, err)
		}
	}
	return nil
}

func (f *fileWriter) extraCell(i, row int, _ *connect.Record) pq.Value {
	if f.extras[row] == nil {
		return null(i)
	}
	x, ok := f.arena.json(f.extras[row])
	if !ok {
		return null(i)
	}
	return x.Level(0, 1, i)
}

// encodeKey writes text as it is, other bytes in base64 and values as JSON.
func encodeKey(a *arena, key any) (pq.Value, bool) {
	b, ok := key.([]byte)
	switch {
	case !ok:
		return encodeString(a, key)
	case utf8.Valid(b):
		return a.string(string(b)), true
	}
	return a.string(base64.StdEncoding.EncodeToString(b)), true
}

// size is an upper estimate of the file so far.
func (f *fileWriter) size() int64 { return f.writer.Size() }

// flush ends the row group and frees its memory.
func (f *fileWriter) flush() error { return f.writer.Flush() }

// close writes the footer with the given facts about the file; the underlying file stays open.
func (f *fileWriter) close(facts map[string]string) error {
	for k, v := range facts {
		f.writer.SetKeyValueMetadata(k, v)
	}
	return f.writer.Close()
}
