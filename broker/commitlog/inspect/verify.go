package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/leatstream/leat/broker/commitlog/epoch"
	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/index"
	"github.com/leatstream/leat/broker/commitlog/producer"
	"github.com/leatstream/leat/broker/commitlog/scan"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// Problem is one thing that Verify finds wrong.
type Problem struct {
	record.TopicPartition        // empty: a file of the log directory
	File                  string // its name
	Position              int64  // bytes from the start of the file, -1: all of it
	Err                   error
}

// Summary counts what Verify has read.
type Summary struct {
	Partitions, Segments int
	Batches, Records     int64
	Bytes                int64 // of log files
	// Gaps counts ranges of offsets without records, which are the rule in
	// compacted logs and wrong in others.
	Gaps int64
}

// Verify reads a log directory, or the folder of one partition, and reports what
// is wrong with it: checksums, framing, records that do not decode, offsets that
// do not ascend, leader epochs that go back, indexes that do not fit their log,
// snapshots and checkpoints that cannot be read. It changes nothing. Folders that
// wait for deletion, and future and stray ones, are left out. The log of a running
// broker may end in a batch that is being written.
//
// The error is about reading files, not about what is in them.
func Verify(ctx context.Context, fsys vfs.FS, dir string, report func(Problem)) (Summary, error) {
	v := &verifier{ctx: ctx, fs: fsys, report: report}
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return v.sum, err
	}
	if tp, ok := format.ParseFolder(filepath.Base(filepath.Clean(dir))); ok && isPartition(entries) {
		return v.sum, v.partition(tp, dir, entries)
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		tp, ok := format.ParseFolder(e.Name())
		switch {
		case e.IsDir() && ok:
			files, err := fsys.ReadDir(name)
			if err == nil {
				err = v.partition(tp, name, files)
			}
			if err != nil {
				return v.sum, err
			}
		case !e.IsDir():
			if err := v.small(name); err != nil {
				return v.sum, err
			}
		}
	}
	return v.sum, nil
}

// isPartition reports whether a folder holds files of a log.
func isPartition(entries []fs.DirEntry) bool {
	for _, e := range entries {
		if k, _ := format.KindOf(e.Name()); k != format.KindUnknown && k != format.KindOffsets && !e.IsDir() {
			return true
		}
	}
	return false
}

// verifier walks one directory.
type verifier struct {
	ctx    context.Context
	fs     vfs.FS
	report func(Problem)
	sum    Summary

	tp    record.TopicPartition
	next  int64 // the offset that may come next, -1: any
	epoch int32 // of the batch before
	// batches are those of the segment at hand; where a checksum is wrong only the
	// position counts.
	batches []batchPlace
	// reach is the position in the segment from which on nothing is known.
	reach int64
	it    record.Iterator
}

// batchPlace is what indexes say of a batch.
type batchPlace struct {
	pos, base, last, maxTime int64
}

func (v *verifier) problem(file string, pos int64, err error) {
	v.report(Problem{v.tp, filepath.Base(file), pos, err})
}

// partition checks the folder of one log: segments in the order of their
// offsets, each with its indexes, then the other files.
func (v *verifier) partition(tp record.TopicPartition, dir string, entries []fs.DirEntry) error {
	v.tp, v.next, v.epoch = tp, -1, math.MinInt32
	defer func() { v.tp = record.TopicPartition{} }()
	defer v.it.Close()
	v.sum.Partitions++
	var bases []int64
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), format.DeletedSuffix) || strings.HasSuffix(e.Name(), format.CleanedSuffix) {
			continue
		}
		name := filepath.Join(dir, e.Name())
		switch k, base := format.KindOf(name); k {
		case format.KindLog:
			if strings.HasSuffix(name, format.LogSuffix) {
				bases = append(bases, base)
			}
		case format.KindOffsetIndex, format.KindTimeIndex, format.KindUnknown: // indexes: with their segments
		default:
			if err := v.small(name); err != nil {
				return err
			}
		}
	}
	sort.Slice(bases, func(i, j int) bool { return bases[i] < bases[j] })
	for i, base := range bases {
		if err := v.segment(dir, base, i+1 < len(bases)); err != nil {
			return err
		}
	}
	return nil
}

// segment checks a log file and its indexes. A sealed one takes no more appends.
func (v *verifier) segment(dir string, base int64, sealed bool) error {
	name := filepath.Join(dir, format.FileName(base, format.LogSuffix))
	f, err := v.fs.OpenFile(name, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed by a running broker
	}
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	v.sum.Segments++
	v.sum.Bytes += size
	v.batches = v.batches[:0]
	if v.next > base {
		v.problem(name, 0, fmt.Errorf("%w: the segment before reaches to offset %d", format.ErrCorruptFile, v.next-1))
	}
	pos, err := scan.Batches(f, size, func(pos int64, b record.Batch) error {
		if err := v.batch(pos, b, base); err != nil {
			v.problem(name, pos, err)
		}
		return v.ctx.Err()
	})
	v.reach = pos
	switch {
	case scan.BadBytes(err):
		v.problem(name, pos, fmt.Errorf("%w; %d bytes to the end of the file", err, size-pos))
	case err != nil:
		return err
	}
	return errors.Join(v.offsetIndex(dir, base, size), v.timeIndex(dir, base, size, sealed))
}

// batch checks one batch against itself and what came before.
func (v *verifier) batch(pos int64, b record.Batch, segment int64) error {
	v.sum.Batches++
	if err := b.CheckCRC(); err != nil {
		v.next = -1 // nothing of the batch can be trusted
		v.batches = append(v.batches, batchPlace{pos, math.MinInt64, math.MinInt64, math.MinInt64})
		return err
	}
	first, last := b.BaseOffset(), b.LastOffset()
	before := v.next
	v.next = max(v.next, last+1)
	v.batches = append(v.batches, batchPlace{pos, first, last, b.MaxTimestamp()})
	switch {
	case b.LastOffsetDelta() < 0 || first < segment:
		return fmt.Errorf("%w: offsets %d to %d in the segment of %d", record.ErrCorruptBatch, first, last, segment)
	case before >= 0 && first < before:
		return fmt.Errorf("%w: offset %d after %d", record.ErrCorruptBatch, first, before-1)
	case b.LeaderEpoch() < v.epoch && b.LeaderEpoch() >= 0:
		return fmt.Errorf("%w: leader epoch %d after %d", record.ErrCorruptBatch, b.LeaderEpoch(), v.epoch)
	}
	if before >= 0 && first > before {
		v.sum.Gaps++
	}
	v.epoch = b.LeaderEpoch()
	return v.records(b)
}

// records decodes all records of a batch.
func (v *verifier) records(b record.Batch) error {
	if err := v.it.Reset(b, 0); err != nil {
		return err
	}
	next, whole := int32(0), true
	for v.it.Next() {
		delta := v.it.Record.OffsetDelta
		if delta < next || delta > b.LastOffsetDelta() {
			return fmt.Errorf("%w: offset delta %d, expected %d to %d", record.ErrInvalidRecord, delta, next, b.LastOffsetDelta())
		}
		whole = whole && delta == next
		next = delta + 1
		v.sum.Records++
	}
	if !whole || next != b.LastOffsetDelta()+1 {
		v.sum.Gaps++
	}
	return v.it.Err()
}

// offsetIndex checks that each entry points at a batch of the log file, of size
// bytes, which its offset is in.
func (v *verifier) offsetIndex(dir string, base, size int64) error {
	name := filepath.Join(dir, format.FileName(base, format.IndexSuffix))
	data, err := v.read(name)
	if err != nil || data == nil {
		return err
	}
	entries, bad := index.DecodeOffsets(data, base)
	i := 0
	for n, e := range entries {
		if e.Position >= v.reach && v.reach < size {
			break
		}
		for i < len(v.batches) && v.batches[i].pos < e.Position {
			i++
		}
		if i == len(v.batches) || v.batches[i].pos != e.Position || e.Offset < v.batches[i].base {
			v.problem(name, int64(n)*8, fmt.Errorf("%w: no batch with offset %d at position %d", format.ErrCorruptFile, e.Offset, e.Position))
		}
	}
	if bad != nil {
		v.problem(name, int64(len(entries))*8, bad)
	}
	return nil
}

// timeIndex checks that no batch up to an entry's offset has a later timestamp
// and that some batch has this one; that of a sealed segment ends with the
// largest.
func (v *verifier) timeIndex(dir string, base, size int64, sealed bool) error {
	name := filepath.Join(dir, format.FileName(base, format.TimeIndexSuffix))
	data, err := v.read(name)
	if err != nil || data == nil {
		return err
	}
	entries, bad := index.DecodeTimes(data, base)
	intact := v.reach == size && !slices.ContainsFunc(v.batches, func(b batchPlace) bool { return b.last == math.MinInt64 })
	i, newest := 0, int64(math.MinInt64)
	for n, e := range entries {
		for i < len(v.batches) && v.batches[i].last <= e.Offset {
			newest = max(newest, v.batches[i].maxTime)
			i++
		}
		largest := newest
		if i < len(v.batches) && v.batches[i].base <= e.Offset {
			largest = max(largest, v.batches[i].maxTime)
		}
		if intact && e.Timestamp > largest {
			v.problem(name, int64(n)*12, fmt.Errorf("%w: no record up to offset %d has timestamp %d, the largest is %d", format.ErrCorruptFile, e.Offset, e.Timestamp, largest))
		}
		if newest > e.Timestamp {
			v.problem(name, int64(n)*12, fmt.Errorf("%w: a record up to offset %d has timestamp %d, not at most %d", format.ErrCorruptFile, e.Offset, newest, e.Timestamp))
		}
	}
	for ; i < len(v.batches); i++ {
		newest = max(newest, v.batches[i].maxTime)
	}
	if last := len(entries) - 1; sealed && intact && bad == nil && last >= 0 && entries[last].Timestamp < newest {
		v.problem(name, int64(last)*12, fmt.Errorf("%w: it ends with timestamp %d, the segment's largest is %d", format.ErrCorruptFile, entries[last].Timestamp, newest))
	}
	if bad != nil {
		v.problem(name, int64(len(entries))*12, bad)
	}
	return nil
}

// small checks that a file which stands for itself can be decoded.
func (v *verifier) small(name string) error {
	k, base := format.KindOf(name)
	if k == format.KindUnknown {
		return nil
	}
	data, err := v.read(name)
	if err != nil || data == nil {
		return err
	}
	switch k {
	case format.KindTxnIndex:
		_, err = index.DecodeTxns(data, base)
	case format.KindSnapshot:
		_, err = producer.DecodeSnapshot(data)
	case format.KindOffsets:
		_, err = format.DecodeOffsets(data)
	case format.KindEpochs:
		_, err = epoch.Decode(data)
	case format.KindTopicID:
		_, err = format.DecodeTopicID(data)
	}
	if err != nil {
		v.problem(name, -1, err)
	}
	return nil
}

// read gives the contents of a file, nil when it does not exist.
func (v *verifier) read(name string) ([]byte, error) {
	data, err := vfs.ReadFile(v.fs, name, 1<<30)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}
