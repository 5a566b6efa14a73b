package parquet

import (
	"time"

	"github.com/parquet-go/parquet-go/compress"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/data"
)

// openFile is a file under its temporary name. Records wait in chunk until
// there are enough of them to be written column by column; the first chunk
// also shows which columns the file has, if nothing else does.
type openFile struct {
	path    string
	out     *countingFile
	columns []column // the configured ones; nil: from the first chunk
	codec   compress.Codec
	writer  *fileWriter // nil until the first chunk is written

	start      int64 // first offset the file stands for
	rows       int
	chunk      []*connect.Record
	chunkBytes int64
	opened     time.Time
	touched    time.Time // when the last record came
	closed     bool
}

func newOpenFile(path string, f File, start int64, columns []column, codec compress.Codec, now time.Time) *openFile {
	return &openFile{path: path, out: &countingFile{File: f}, columns: columns, codec: codec, start: start, opened: now, touched: now}
}

func (f *openFile) add(r *connect.Record, now time.Time) error {
	f.chunk = append(f.chunk, r)
	f.chunkBytes += estimate(r.Value) + 100
	f.rows++
	f.touched = now
	if len(f.chunk) >= chunkRows || f.chunkBytes >= chunkBytes {
		return f.writeChunk()
	}
	return nil
}

func (f *openFile) writeChunk() error {
	if len(f.chunk) == 0 {
		return nil
	}
	if f.writer == nil {
		f.writer = newFileWriter(f.out, f.settleColumns(), f.codec)
	}
	if err := f.writer.write(f.chunk); err != nil {
		return err
	}
	clear(f.chunk)
	f.chunk, f.chunkBytes = f.chunk[:0], 0
	if f.writer.size()-f.out.n >= rowGroupBytes {
		return f.writer.flush()
	}
	return nil
}

// settleColumns are the configured columns, or those of the records' schema,
// or what the first chunk shows.
func (f *openFile) settleColumns() []column {
	if f.columns != nil {
		return f.columns
	}
	values := make([]any, 0, len(f.chunk))
	for _, r := range f.chunk {
		if r.ValueSchema != nil && r.Value != nil {
			return schemaColumns(r.ValueSchema)
		}
		values = append(values, r.Value)
	}
	return inferColumns(values)
}

// size is an upper estimate of the bytes so far.
func (f *openFile) size() int64 {
	if f.writer == nil {
		return f.chunkBytes
	}
	return f.writer.size() + f.chunkBytes
}

// held is an estimate of the memory in use.
func (f *openFile) held() int64 { return f.size() - f.out.n }

// flush writes everything held to the file as a row group.
func (f *openFile) flush() error {
	if err := f.writeChunk(); err != nil {
		return err
	}
	return f.writer.flush()
}

// close finishes the file and makes it safe; it returns its size.
func (f *openFile) close(facts map[string]string) (int64, error) {
	if err := f.writeChunk(); err != nil {
		return 0, err
	}
	if err := f.writer.close(facts); err != nil {
		return 0, err
	}
	f.closed = true
	if err := f.out.Close(); err != nil {
		return 0, err
	}
	return f.out.n, nil
}

// abandon closes the file without finishing it.
func (f *openFile) abandon() error {
	if f.closed {
		return nil
	}
	f.closed = true
	return f.out.Close()
}

// countingFile knows how much was written.
type countingFile struct {
	File
	n int64
}

func (c *countingFile) Write(b []byte) (int, error) {
	n, err := c.File.Write(b)
	c.n += int64(n)
	return n, err
}

// estimate guesses the memory of a value from its text.
func estimate(v any) int64 {
	switch t := v.(type) {
	case string:
		return int64(len(t)) + 16
	case []byte:
		return int64(len(t)) + 24
	case map[string]any:
		n := int64(48)
		for k, x := range t {
			n += int64(len(k)) + 32 + estimate(x)
		}
		return n
	case []any:
		n := int64(24)
		for _, x := range t {
			n += 16 + estimate(x)
		}
		return n
	case *data.Struct:
		n := int64(32)
		for i := range t.Schema().Fields {
			n += 16 + estimate(t.At(i))
		}
		return n
	}
	return 8
}
