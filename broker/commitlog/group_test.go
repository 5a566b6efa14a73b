package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"syscall"
	"testing"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// offered is one append of a test: the same bytes go into several logs.
type offered struct {
	batches []byte
	opts    AppendOptions
}

// offer makes a random append. Sequences are what the model says, or off by a
// little, so that some are duplicates and some come out of order.
func offer(t *testing.T, rng *rand.Rand, next map[int64]int32) offered {
	o := offered{opts: AppendOptions{Origin: OriginClient, Now: testNow.UnixMilli() + rng.Int64N(3000), DeferFlush: true}}
	if rng.IntN(5) == 0 {
		o.opts.Origin = OriginCoordinator
	}
	count := 1
	if o.opts.Origin == OriginCoordinator {
		count += rng.IntN(3)
	}
	for range count {
		pid := int64(100 + rng.IntN(4))
		if o.opts.Origin == OriginCoordinator && rng.IntN(3) == 0 {
			var err error
			if o.batches, err = record.AppendMarker(o.batches, pid, 0, o.opts.Now, record.Marker{Type: record.MarkerType(rng.IntN(2))}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		opts := record.NewOptions()
		size, records := rng.IntN(150), 1+rng.IntN(4)
		if rng.IntN(12) == 0 {
			size = maxGathered / records
		}
		if rng.IntN(2) == 0 {
			opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence = pid, 0, next[pid]
			if rng.IntN(6) == 0 {
				opts.BaseSequence = max(0, opts.BaseSequence-int32(rng.IntN(4))+1)
			} else {
				next[pid] += int32(records)
			}
			opts.Transactional = pid == 100
		}
		var b record.Builder
		b.Reset(opts)
		for range records {
			b.Append(o.opts.Now-rng.Int64N(4000), nil, bytes.Repeat([]byte{byte(rng.IntN(256))}, size))
		}
		var err error
		if o.batches, err = b.Build(o.batches); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func (o offered) prepare(t *testing.T, l *Log) *GroupAppend {
	a := new(GroupAppend)
	if err := l.Prepare(&a.Prepared, slices.Clone(o.batches), o.opts); err != nil {
		t.Fatal(err)
	}
	return a
}

// together appends all offers as one group, alone one after the other.
func together(t *testing.T, l *Log, epoch int32, offers []offered) []*GroupAppend {
	var g Group
	for _, o := range offers {
		g.Add(o.prepare(t, l))
	}
	l.AppendGroup(&g, epoch)
	return g.appends
}

func alone(t *testing.T, l *Log, epoch int32, offers []offered) (out []*GroupAppend) {
	for _, o := range offers {
		a := o.prepare(t, l)
		a.Info, a.Err = l.AppendPrepared(&a.Prepared, epoch)
		out = append(out, a)
	}
	return out
}

// sameOutcome compares the outcomes of a group with those of single appends.
func sameOutcome(t *testing.T, group, single []*GroupAppend) {
	t.Helper()
	for i := range single {
		a, b := group[i], single[i]
		if fmt.Sprint(a.Err) != fmt.Sprint(b.Err) || a.Err == nil && a.Info != b.Info {
			t.Fatalf("append %d of %d: %+v, %v; alone %+v, %v", i, len(single), a.Info, a.Err, b.Info, b.Err)
		}
	}
}

// files are the contents of all files of a log's folder.
func files(t *testing.T, fsys vfs.FS, dir string) map[string]string {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		data, err := vfs.ReadFile(fsys, dir+"/"+e.Name(), 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(data)
	}
	return out
}

// TestGroupIsAsSingleAppends appends the same to two logs, to one in groups: the
// outcome of each append, the state and every file must be the same.
func TestGroupIsAsSingleAppends(t *testing.T) {
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 11))
		cfg := DefaultConfig()
		cfg.SegmentBytes = int32(1000 + rng.IntN(60_000))
		cfg.SegmentMs = []int64{2000, math.MaxInt64}[rng.IntN(2)]
		cfg.IndexIntervalBytes = int32(rng.IntN(800))
		cfg.SegmentIndexBytes = []int32{10 << 20, 96}[rng.IntN(2)]
		cfg.FlushMessages = []int64{1, 7, math.MaxInt64}[rng.IntN(3)]
		disks := [2]*vfs.Mem{vfs.NewMem(), vfs.NewMem()}
		var ms [2]*Manager
		var ls [2]*Log
		for i, disk := range disks {
			ms[i], ls[i] = openTest(t, disk, cfg)
		}
		next, epoch, writes := map[int64]int32{}, int32(0), [2]int{}
		for i, disk := range disks {
			disk.Observe(func(c vfs.Call) {
				if c.Op == vfs.OpWrite {
					writes[i]++
				}
			})
		}
		for range 12 {
			var offers []offered
			for range 1 + rng.IntN(20) {
				offers = append(offers, offer(t, rng, next))
			}
			if rng.IntN(4) == 0 {
				epoch++
			}
			sameOutcome(t, together(t, ls[0], epoch, offers), alone(t, ls[1], epoch, offers))
			if a, b := ls[0].Producers(), ls[1].Producers(); !reflect.DeepEqual(a, b) {
				t.Fatalf("seed %d: producers %+v, alone %+v", seed, a, b)
			}
			if a, b := ls[0].LastStableOffset(math.MaxInt64), ls[1].LastStableOffset(math.MaxInt64); a != b {
				t.Fatalf("seed %d: last stable offset %d, alone %d", seed, a, b)
			}
			if rng.IntN(3) == 0 {
				for _, l := range ls {
					if err := l.Sync(l.EndOffset()); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if writes[0] >= writes[1] {
			t.Errorf("seed %d: %d writes in groups, %d alone", seed, writes[0], writes[1])
		}
		dir := ls[0].Path()
		for _, m := range ms {
			if err := m.Close(-1); err != nil {
				t.Fatal(err)
			}
		}
		if a, b := files(t, disks[0], dir), files(t, disks[1], dir); !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d: the folders differ: %d and %d files", seed, len(a), len(b))
		}
	}
}

// TestGroupIsWrittenAtOnce counts the writes of a group of small appends.
func TestGroupIsWrittenAtOnce(t *testing.T) {
	disk := vfs.NewMem()
	_, l := openTest(t, disk, DefaultConfig())
	mustAppend(t, l, plain(t, "first of the segment"), OriginClient)
	var sizes []int
	disk.Observe(func(c vfs.Call) {
		if c.Op == vfs.OpWrite {
			sizes = append(sizes, c.Size)
		}
	})
	var offers []offered
	total := 0
	for i := range 10 {
		o := offered{plain(t, fmt.Sprint("value ", i)), AppendOptions{Now: testNow.UnixMilli()}}
		offers, total = append(offers, o), total+len(o.batches)
	}
	group := together(t, l, 0, offers)
	if !slices.Equal(sizes, []int{total}) {
		t.Errorf("writes of %v bytes, want one of %d", sizes, total)
	}
	for i, a := range group {
		if a.Err != nil || a.Info.FirstOffset != int64(i+1) {
			t.Errorf("append %d: offset %d, %v", i, a.Info.FirstOffset, a.Err)
		}
	}
}

// TestGroupCutShort fails the write of a group after every number of bytes: what
// was written in full is in the log and acknowledged, nothing else.
func TestGroupCutShort(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		for short := 0; ; short += 13 {
			disk := vfs.NewMem()
			m, l := openTest(t, disk, DefaultConfig())
			mustAppend(t, l, plain(t, "first of the segment"), OriginClient)
			var offers []offered
			total := 0
			for i := range 5 {
				opts := record.NewOptions()
				opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence = int64(i), 0, 0
				o := offered{makeBatch(t, opts, testNow.UnixMilli(), fmt.Sprint("value ", i)), AppendOptions{Now: testNow.UnixMilli()}}
				offers, total = append(offers, o), total+len(o.batches)
			}
			if short > total+13 {
				break
			}
			disk.Inject(&vfs.Rule{Op: vfs.OpWrite, Glob: "*.log", Times: 1, Err: cause, Short: max(1, short)})
			group := together(t, l, 0, offers)
			whole, at := 0, 0
			for _, o := range offers {
				if at += len(o.batches); at <= short && at < total {
					whole++
				}
			}
			for i, a := range group {
				if ok := a.Err == nil; ok != (i < whole) {
					t.Fatalf("%v after %d of %d bytes: append %d: %v", cause, short, total, i, a.Err)
				}
				if a.Err != nil && !errors.Is(a.Err, cause) {
					t.Fatalf("append %d: %v, want %v", i, a.Err, cause)
				}
			}
			if l.EndOffset() != int64(1+whole) || len(l.Producers()) != whole {
				t.Fatalf("%d bytes: end %d, %d producers, want %d", short, l.EndOffset(), len(l.Producers()), 1+whole)
			}
			if file, err := disk.Stat(l.active().path(format.LogSuffix)); err != nil || file.Size() != l.active().size.Load() {
				t.Fatalf("%d bytes: file %v, the log has %d bytes, %v", short, file, l.active().size.Load(), err)
			}
			if off := l.OffLine() != nil; off != errors.Is(cause, syscall.EIO) {
				t.Fatalf("%v: off line: %v", cause, off)
			}
			if err := m.Close(-1); err != nil && cause != syscall.EIO {
				t.Fatal(err)
			}
			_, l = openTest(t, disk, DefaultConfig())
			if l.EndOffset() != int64(1+whole) {
				t.Fatalf("%d bytes: reopened, the log ends at %d, want %d", short, l.EndOffset(), 1+whole)
			}
		}
	}
}

// TestGroupOfClosedLog fails every append of a group with the same error.
func TestGroupOfClosedLog(t *testing.T) {
	m, l := openTest(t, vfs.NewMem(), DefaultConfig())
	var g Group
	for range 3 {
		g.Add(offered{plain(t, "v"), AppendOptions{Now: testNow.UnixMilli()}}.prepare(t, l))
	}
	if err := m.Close(-1); err != nil {
		t.Fatal(err)
	}
	l.AppendGroup(&g, 0)
	for i, a := range g.appends {
		if !errors.Is(a.Err, ErrClosed) {
			t.Errorf("append %d: %v", i, a.Err)
		}
	}
	var gone *fs.PathError
	if errors.As(g.appends[0].Err, &gone) {
		t.Error("the file was touched")
	}
}
