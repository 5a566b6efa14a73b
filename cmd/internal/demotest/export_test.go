package demotest

import (
	"encoding/json"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leatstream/leat/deploy/testbed"
)

// parquetFiles are the finished files of the export.
func parquetFiles(t *testing.T, dir string) []string {
	t.Helper()
	return slices.DeleteFunc(files(t, filepath.Join(dir, "out")), func(path string) bool { return filepath.Ext(path) != ".parquet" || hidden(path) })
}

// noTemporaryFiles checks that an export has left only finished files.
func noTemporaryFiles(t *testing.T, dir string) {
	t.Helper()
	for _, path := range files(t, filepath.Join(dir, "out")) {
		if filepath.Ext(path) != ".parquet" || hidden(path) {
			t.Errorf("left behind: %s", path)
		}
	}
}

// hidden tells whether a file or a folder above it is named as temporary.
func hidden(path string) bool {
	return strings.Contains(path, "/.") || strings.Contains(path, "/+") || strings.Contains(path, "/_")
}

// files are all files below a folder, none where it does not exist yet.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			found = append(found, path)
		}
		return nil // a file may go while one looks
	})
	return found
}

// inspect reads an export by DuckDB: what the types are, and by partition how
// many rows, offsets and files there are and whether the names tell the truth.
const inspect = `
import duckdb, glob, json, os, sys
found = sorted(f for f in glob.glob(sys.argv[1] + '/**/*.parquet', recursive=True))
db = duckdb.connect()
db.execute("set timezone='UTC'")
db.execute("create view e as select * from read_parquet(?, filename=true, hive_partitioning=false)".replace('?', json.dumps(found).replace('"', "'")))
types = {n: t for n, t, *_ in db.sql('describe e').fetchall()}
parts = [dict(zip(('topic', 'partition', 'rows', 'offsets', 'first', 'last'), r)) for r in db.sql(
  'select _kafka_topic, _kafka_partition, count(*), count(distinct _kafka_offset), min(_kafka_offset), max(_kafka_offset) from e group by all order by all').fetchall()]
misnamed = []
for f, topic, partition, first, last, rows in db.sql(
    'select filename, min(_kafka_topic), min(_kafka_partition), min(_kafka_offset), max(_kafka_offset), count(*) from e group by all').fetchall():
  if os.path.basename(f) != '%s+%d+%010d+%010d.parquet' % (topic, partition, first, last) or rows != last - first + 1:
    misnamed.append(f)
nulls, = db.sql('select count(*) from e where e.at is null or _kafka_timestamp is null or event_id is null or action is null').fetchall()[0]
off, = db.sql("select count(*) from e where abs(epoch(e.at) - epoch(_kafka_timestamp)) > 60").fetchall()[0]
json.dump(dict(files=len(found), types=types, parts=parts, misnamed=misnamed, nulls=nulls, off=off), sys.stdout)
`

// export is what inspect found.
type export struct {
	Files int
	Types map[string]string
	Parts []struct {
		Topic         string
		Partition     int
		Rows, Offsets int64
		First, Last   int64
	}
	Misnamed []string
	Nulls    int64
	Off      int64 // rows whose event time is not near that of the record
}

// exportMatches checks the Parquet files against the summary: typed columns,
// each offset from 0 on in exactly one file, and as many rows as events.
func exportMatches(t *testing.T, s summary) {
	t.Helper()
	var e export
	if err := json.Unmarshal([]byte(testbed.Python(t, inspect, s.Parquet.Dir)), &e); err != nil {
		t.Fatal(err)
	}
	var rows int64
	for _, p := range e.Parts {
		rows += p.Rows
		if p.Rows != p.Offsets || p.First != 0 || p.Last != p.Rows-1 || p.Topic != "activity" {
			t.Errorf("rows and offsets of a partition differ: %+v", p)
		}
	}
	if len(e.Parts) != 3 || rows != s.EventsProduced || rows != s.Parquet.Rows || e.Files != s.Parquet.Files {
		t.Errorf("%d rows of %d partitions in %d files; the summary says %+v", rows, len(e.Parts), e.Files, s)
	}
	for column, want := range map[string]string{
		"at": "TIMESTAMP WITH TIME ZONE", "_kafka_timestamp": "TIMESTAMP WITH TIME ZONE", "member_id": "BIGINT", "ms": "DOUBLE",
		"bot": "BOOLEAN", "event_id": "VARCHAR", "_kafka_partition": "INTEGER", "_kafka_offset": "BIGINT",
	} {
		if e.Types[column] != want {
			t.Errorf("column %s is %q, want %s", column, e.Types[column], want)
		}
	}
	if len(e.Misnamed) > 0 || e.Nulls > 0 || e.Off > 0 {
		t.Errorf("misnamed %v, %d rows with nulls, %d with wrong times", e.Misnamed, e.Nulls, e.Off)
	}
}
