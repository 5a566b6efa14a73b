package console

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/leatstream/leat/cmd/internal/admin"
)

const (
	maxFiles    = 5000
	previewRows = 20
)

// errNoFile is returned for a path that is no finished file of the folder.
var errNoFile = errors.New("no such Parquet file")

// fileIndex knows the finished Parquet files below a folder. Files are
// immutable, so that each is opened once. It belongs to the sampler.
type fileIndex struct {
	root  string
	known map[string]admin.File
}

func newFileIndex(root string) *fileIndex {
	return &fileIndex{root: root, known: map[string]admin.File{}}
}

// list is the files, the newest first; at most maxFiles.
func (x *fileIndex) list() ([]admin.File, error) {
	files := []admin.File{}
	if x.root == "" {
		return files, nil
	}
	found := map[string]admin.File{}
	err := filepath.WalkDir(x.root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), ".") && path != x.root:
			return filepath.SkipDir // of files that are not finished
		case e.IsDir() || filepath.Ext(path) != ".parquet":
			return nil
		case len(found) >= maxFiles:
			return filepath.SkipAll
		}
		f, err := x.look(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed in the meantime
		}
		if err != nil {
			return err
		}
		found[f.Path] = f
		files = append(files, f)
		return nil
	})
	x.known = found
	slices.SortFunc(files, func(a, b admin.File) int {
		return cmp.Or(b.Modified.Compare(a.Modified), cmp.Compare(a.Path, b.Path))
	})
	return files, err
}

func (x *fileIndex) look(path string) (admin.File, error) {
	rel, err := filepath.Rel(x.root, path)
	if err != nil {
		return admin.File{}, err
	}
	rel = filepath.ToSlash(rel)
	if f, ok := x.known[rel]; ok {
		return f, nil
	}
	f := admin.File{Path: rel, Partition: -1}
	f.Topic, f.Partition = fileOrigin(rel)
	err = withParquet(path, func(p *parquet.File, info fs.FileInfo) error {
		f.Rows, f.SizeBytes, f.Modified = p.NumRows(), info.Size(), info.ModTime().UTC().Truncate(time.Second)
		return nil
	})
	return f, err
}

// fileOrigin reads topic and partition from topic+partition+start+end.parquet.
func fileOrigin(path string) (topic string, partition int32) {
	parts := strings.Split(strings.TrimSuffix(filepath.Base(path), ".parquet"), "+")
	if len(parts) < 4 {
		return "", -1
	}
	n, err := strconv.ParseInt(parts[len(parts)-3], 10, 32)
	if err != nil {
		return "", -1
	}
	return strings.Join(parts[:len(parts)-3], "+"), int32(n)
}

func withParquet(path string, work func(*parquet.File, fs.FileInfo) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	p, err := parquet.OpenFile(f, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return work(p, info)
}

// describeFile reads the schema and the first rows. Only files that the index
// has listed can be read, so that no path leads out of the folder.
func describeFile(root string, listed []admin.File, path string) (admin.FileDetail, error) {
	i := slices.IndexFunc(listed, func(f admin.File) bool { return f.Path == path })
	if i < 0 {
		return admin.FileDetail{}, fmt.Errorf("%s: %w", path, errNoFile)
	}
	d := admin.FileDetail{File: listed[i], Columns: []admin.Column{}, FirstRows: [][]any{}}
	err := withParquet(filepath.Join(root, filepath.FromSlash(path)), func(p *parquet.File, _ fs.FileInfo) error {
		d.RowGroups = len(p.RowGroups())
		leaves := columnsOf(p, &d)
		return firstRows(p, leaves, &d)
	})
	return d, err
}

// columnsOf lists the leaf columns in order.
func columnsOf(p *parquet.File, d *admin.FileDetail) []parquet.LeafColumn {
	schema := p.Schema()
	var leaves []parquet.LeafColumn
	for i, path := range schema.Columns() {
		leaf, _ := schema.Lookup(path...)
		leaves = append(leaves, leaf)
		c := admin.Column{Name: strings.Join(path, "."), Type: columnType(leaf.Node), Nullable: leaf.Node.Optional()}
		if groups := p.Metadata().RowGroups; len(groups) > 0 && i < len(groups[0].Columns) {
			c.Compression = strings.ToLower(groups[0].Columns[i].MetaData.Codec.String())
		}
		d.Columns = append(d.Columns, c)
	}
	return leaves
}

func columnType(n parquet.Node) string {
	t := n.Type()
	logical := t.LogicalType()
	if logical == nil {
		return strings.ToLower(t.String())
	}
	switch l := logical.Value.(type) {
	case *format.TimestampType:
		return "timestamp, " + strings.ToLower(l.Unit.String())
	case *format.IntType:
		return fmt.Sprintf("%sint%d", map[bool]string{false: "u"}[l.IsSigned], l.BitWidth)
	}
	return strings.ToLower(logical.String())
}

func firstRows(p *parquet.File, leaves []parquet.LeafColumn, d *admin.FileDetail) error {
	rows := make([]parquet.Row, previewRows)
	for _, group := range p.RowGroups() {
		reader := group.Rows()
		n, err := reader.ReadRows(rows[:previewRows-len(d.FirstRows)])
		for _, row := range rows[:n] {
			d.FirstRows = append(d.FirstRows, plainRow(row, leaves))
		}
		if closeErr := reader.Close(); closeErr != nil {
			return closeErr
		}
		if len(d.FirstRows) == previewRows || (n == 0 && err != nil) {
			break
		}
	}
	return nil
}

// plainRow has one value a column; of a repeated one, the first.
func plainRow(row parquet.Row, leaves []parquet.LeafColumn) []any {
	out := make([]any, len(leaves))
	for _, v := range row {
		if c := v.Column(); c >= 0 && c < len(out) && out[c] == nil {
			out[c] = plainValue(v, leaves[c].Node)
		}
	}
	return out
}

func plainValue(v parquet.Value, n parquet.Node) any {
	if v.IsNull() {
		return nil
	}
	if logical := n.Type().LogicalType(); logical != nil {
		if t, ok := logical.Value.(*format.TimestampType); ok {
			return timestamp(v.Int64(), t.Unit)
		}
	}
	switch v.Kind() {
	case parquet.Boolean:
		return v.Boolean()
	case parquet.Int32:
		return v.Int32()
	case parquet.Int64:
		return v.Int64()
	case parquet.Float:
		return v.Float()
	case parquet.Double:
		return v.Double()
	}
	return strings.ToValidUTF8(shorten(string(v.ByteArray()), maxShown), "\uFFFD")
}

func timestamp(n int64, unit format.TimeUnit) time.Time {
	switch unit.Value.(type) {
	case *format.MicroSeconds:
		return time.UnixMicro(n).UTC()
	case *format.NanoSeconds:
		return time.Unix(0, n).UTC()
	}
	return time.UnixMilli(n).UTC()
}
