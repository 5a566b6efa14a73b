package producer

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/leatstream/leat/broker/commitlog/index"
	"github.com/leatstream/leat/broker/record"
)

func TestSnapshotFormat(t *testing.T) {
	p := newProducer(7)
	p.epoch, p.coordinatorEpoch = 1, 2
	p.add(Batch{LastSequence: 5, OffsetDelta: 1, LastOffset: 9, Timestamp: 77})
	s := New()
	s.producers[7] = &p
	data := s.Encode()
	want := "0001" + hex.EncodeToString(data[2:6]) + "00000001" + "0000000000000007" + "0001" + "00000005" + "0000000000000009" +
		"00000001" + "000000000000004d" + "00000002" + "ffffffffffffffff"
	if hex.EncodeToString(data) != want {
		t.Fatalf("got  %x\nwant %s", data, want)
	}
	got, err := DecodeSnapshot(data)
	if err != nil || len(got) != 1 || got[0].producer() != p {
		t.Fatalf("%+v, %v", got, err)
	}
	data[20] ^= 1
	if _, err := DecodeSnapshot(data); err == nil {
		t.Fatal("a damaged snapshot is taken")
	}
}

// batch builds a batch of count records with a producer id.
func batch(t *testing.T, id int64, epoch int16, seq int32, count int, txn bool) record.Batch {
	t.Helper()
	opts := record.NewOptions()
	opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence, opts.Transactional = id, epoch, seq, txn
	var b record.Builder
	b.Reset(opts)
	for range count {
		b.Append(1000, nil, []byte("v"))
	}
	out, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return record.Batch(out)
}

func marker(t *testing.T, id int64, epoch int16, m record.Marker) record.Batch {
	t.Helper()
	out, err := record.AppendMarker(nil, id, epoch, 1000, m)
	if err != nil {
		t.Fatal(err)
	}
	return record.Batch(out)
}

func TestStage(t *testing.T) {
	client, coordinator := Checks{Epochs: true, Sequences: true}, Checks{Epochs: true}
	for _, tt := range []struct {
		name   string
		before []record.Batch
		next   record.Batch
		checks Checks
		want   error
	}{
		{"anywhere for a new producer", nil, batch(t, 7, 0, 40, 1, false), client, nil},
		{"the next number", []record.Batch{batch(t, 7, 0, 0, 3, false)}, batch(t, 7, 0, 3, 1, false), client, nil},
		{"after the largest number", []record.Batch{batch(t, 7, 0, math.MaxInt32, 1, false)}, batch(t, 7, 0, 0, 1, false), client, nil},
		{"a gap", []record.Batch{batch(t, 7, 0, 0, 3, false)}, batch(t, 7, 0, 4, 1, false), client, ErrOutOfOrderSequence},
		{"a gap that nobody minds", []record.Batch{batch(t, 7, 0, 0, 3, false)}, batch(t, 7, 0, 4, 1, false), coordinator, nil},
		{"a new epoch at 0", []record.Batch{batch(t, 7, 0, 0, 3, false)}, batch(t, 7, 1, 0, 1, false), client, nil},
		{"a new epoch elsewhere", []record.Batch{batch(t, 7, 0, 0, 3, false)}, batch(t, 7, 1, 3, 1, false), client, ErrOutOfOrderSequence},
		{"an old epoch", []record.Batch{batch(t, 7, 1, 0, 3, false)}, batch(t, 7, 0, 3, 1, false), coordinator, ErrInvalidProducerEpoch},
		{"an old epoch of a copy", []record.Batch{batch(t, 7, 1, 0, 3, false)}, batch(t, 7, 0, 3, 1, false), Checks{}, nil},
		{"outside the transaction", []record.Batch{batch(t, 7, 0, 0, 1, true)}, batch(t, 7, 0, 1, 1, false), client, ErrInvalidTxnState},
		{"an old coordinator", []record.Batch{marker(t, 7, 0, record.Marker{Type: record.Commit, CoordinatorEpoch: 2})}, marker(t, 7, 0, record.Marker{Type: record.Abort, CoordinatorEpoch: 1}), coordinator, ErrCoordinatorFenced},
	} {
		s := New()
		var u Update
		offset := int64(0)
		for _, b := range tt.before {
			b.SetBaseOffset(offset)
			if _, err := s.Replay(&u, b); err != nil {
				t.Fatal(err)
			}
			offset = b.LastOffset() + 1
		}
		before := s.Encode()
		u.Reset()
		if err := s.Stage(&u, tt.next, offset, tt.checks); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if !bytes.Equal(s.Encode(), before) {
			t.Errorf("%s: the state changed before commit", tt.name)
		}
	}
}

func TestDuplicate(t *testing.T) {
	s := New()
	var u Update
	for i := range int64(rememberedBatches + 1) {
		b := batch(t, 7, 0, int32(2*i), 2, false)
		b.SetBaseOffset(100 + 2*i)
		if _, err := s.Replay(&u, b); err != nil {
			t.Fatal(err)
		}
	}
	for i := range int64(rememberedBatches + 2) {
		got, ok := s.Duplicate(batch(t, 7, 0, int32(2*i), 2, false))
		if want := i > 0 && i <= rememberedBatches; ok != want || ok && (got.FirstOffset() != 100+2*i || got.LastOffset != 101+2*i) {
			t.Errorf("batch %d: %+v, %v", i, got, ok)
		}
	}
	if _, ok := s.Duplicate(batch(t, 7, 0, 2, 1, false)); ok {
		t.Error("a part of a batch is taken for the batch")
	}
	if _, ok := s.Duplicate(batch(t, 7, 1, 2, 2, false)); ok {
		t.Error("a batch of another epoch is taken for the batch")
	}
}

// Two transactions that overlap: what is unstable, and what a reader must skip.
func TestOverlappingTransactions(t *testing.T) {
	s := New()
	var u Update
	var aborted []index.AbortedTxn
	for offset, b := range []record.Batch{
		batch(t, 1, 0, 0, 1, true), batch(t, 2, 0, 0, 1, true),
		marker(t, 2, 0, record.Marker{Type: record.Abort}), marker(t, 1, 0, record.Marker{Type: record.Commit}),
	} {
		b.SetBaseOffset(int64(offset))
		txns, err := s.Replay(&u, b)
		if err != nil {
			t.Fatal(err)
		}
		aborted = append(aborted, txns...)
		if first, ok := s.FirstUnstable(0); !ok || first != 0 {
			t.Errorf("after offset %d: %d, %v is unstable", offset, first, ok)
		}
	}
	if want := []index.AbortedTxn{{ProducerID: 2, FirstOffset: 1, LastOffset: 2, LastStableOffset: 0}}; !reflect.DeepEqual(aborted, want) {
		t.Errorf("aborted: %+v", aborted)
	}
	if first, ok := s.FirstUnstable(3); !ok || first != 0 {
		t.Errorf("the marker at 3 is not replicated: %d, %v", first, ok)
	}
	if _, ok := s.FirstUnstable(4); ok || s.Unstable() {
		t.Error("all is replicated, and something is unstable")
	}
	s.Expire(1000+10, 10)
	if s.Len() != 0 {
		t.Error("silent producers are remembered")
	}
}

func FuzzDecodeSnapshot(f *testing.F) {
	p := newProducer(7)
	f.Add((&State{producers: map[int64]*producer{7: &p}}).Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := DecodeSnapshot(data)
		if err != nil {
			return
		}
		if len(list)*snapshotEntrySize+snapshotHeader != len(data) {
			t.Fatal("snapshot of another size")
		}
		s := New()
		s.Load(list)
		again, err := DecodeSnapshot(s.Encode())
		if err != nil || !reflect.DeepEqual(again, s.Entries()) {
			t.Fatalf("snapshot does not survive: %v", err)
		}
	})
}
