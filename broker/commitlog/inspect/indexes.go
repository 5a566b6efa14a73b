package inspect

import (
	"fmt"
	"math"
	"path/filepath"

	"github.com/leatstream/leat/broker/commitlog/damage"
	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/index"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// ErrDamagedIndex says that an index file does not fit its log file.
var ErrDamagedIndex = fmt.Errorf("%w: index does not fit the log", format.ErrCorruptFile)

// Indexes compares the side files of a segment with its batches as they come. It is
// not safe for concurrent use.
type Indexes struct {
	base     int64 // of the segment
	offsets  []index.AbsoluteOffset
	times    []index.AbsoluteTime
	i, j, k  int // next offset entry by position and by offset; next time entry
	newest   int64
	wrong    bool
	problems []Problem
}

// ReadIndexes reads the indexes of the segment at base from the folder of its log;
// those that are missing are made when they are needed, and are no problem.
func ReadIndexes(fsys vfs.FS, folder string, base int64) (*Indexes, error) {
	x := &Indexes{base: base, newest: math.MinInt64}
	name := func(suffix string) string { return filepath.Join(folder, format.FileName(base, suffix)) }
	v := verifier{fs: fsys, report: func(p Problem) { x.problems = append(x.problems, p) }}
	offsets, err := v.read(name(format.IndexSuffix))
	if err != nil {
		return nil, err
	}
	times, err := v.read(name(format.TimeIndexSuffix))
	if err != nil {
		return nil, err
	}
	var bad error
	if x.offsets, bad = index.DecodeOffsets(offsets, base); bad != nil {
		x.problem(format.IndexSuffix, len(x.offsets)*8, bad)
	}
	if x.times, bad = index.DecodeTimes(times, base); bad != nil {
		x.problem(format.TimeIndexSuffix, len(x.times)*12, bad)
	}
	for _, suffix := range [...]string{format.TxnIndexSuffix, format.SnapshotSuffix} {
		if err := v.small(name(suffix)); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// problem notes what is wrong with an index; one note per file is enough.
func (x *Indexes) problem(suffix string, pos int, err error) {
	name := format.FileName(x.base, suffix)
	x.wrong = true
	for _, p := range x.problems {
		if p.File == name {
			return
		}
	}
	x.problems = append(x.problems, Problem{File: name, Position: int64(pos), Err: err})
}

// Batch compares the entries that concern an intact batch.
func (x *Indexes) Batch(pos int64, b record.Batch, lost damage.List) {
	first, last := b.BaseOffset(), b.LastOffset()
	for ; x.i < len(x.offsets) && x.offsets[x.i].Position <= pos; x.i++ {
		e := x.offsets[x.i]
		if _, known := lost.At(e.Position); known {
			continue
		}
		if e.Position < pos || e.Offset < first {
			x.problem(format.IndexSuffix, x.i*8, fmt.Errorf("%w: no batch with offset %d at position %d", ErrDamagedIndex, e.Offset, e.Position))
		}
	}
	for ; x.j < len(x.offsets) && x.offsets[x.j].Offset <= last; x.j++ {
		if o := x.offsets[x.j].Offset; o != last && !lost.Lost(o) {
			x.problem(format.IndexSuffix, x.j*8, fmt.Errorf("%w: no batch ends with offset %d", ErrDamagedIndex, o))
		}
	}
	before := x.newest
	x.newest = max(x.newest, b.MaxTimestamp())
	for ; x.k < len(x.times) && x.times[x.k].Offset <= last; x.k++ {
		e := x.times[x.k]
		if lost.Lost(e.Offset) {
			continue
		}
		if e.Offset < first || e.Timestamp != b.MaxTimestamp() || e.Timestamp < before {
			x.problem(format.TimeIndexSuffix, x.k*12, fmt.Errorf("%w: %d is not the largest timestamp up to offset %d", ErrDamagedIndex, e.Timestamp, e.Offset))
		}
	}
}

// Finish looks at what is left when all batches have come. Wrong says that an index
// must be made anew.
func (x *Indexes) Finish(lost damage.List) (problems []Problem, wrong bool) {
	if x.i < len(x.offsets) || x.j < len(x.offsets) {
		if at := min(x.i, x.j); len(lost) == 0 {
			x.problem(format.IndexSuffix, at*8, fmt.Errorf("%w: entry beyond the end", ErrDamagedIndex))
		}
	}
	if len(lost) == 0 && x.k < len(x.times) {
		x.problem(format.TimeIndexSuffix, x.k*12, fmt.Errorf("%w: entry beyond the end", ErrDamagedIndex))
	}
	if n := len(x.times); len(lost) == 0 && n > 0 && x.times[n-1].Timestamp != x.newest {
		x.problem(format.TimeIndexSuffix, (n-1)*12, fmt.Errorf("%w: the largest timestamp is %d, not %d", ErrDamagedIndex, x.newest, x.times[n-1].Timestamp))
	}
	return x.problems, x.wrong
}
