package producer

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/record"
)

// A producer snapshot file, <offset>.snapshot, holds the producer state at an
// offset:
//
//	version int16 = 1 | crc-32c uint32 of the rest | count int32 | entries
//	entry: producer id int64 | epoch int16 | last sequence int32 |
//	  last offset int64 | offset delta int32 | timestamp int64 |
//	  coordinator epoch int32 | first offset of the open transaction int64
const (
	snapshotHeader    = 10
	snapshotEntrySize = 46
)

// MaxSnapshot bounds a snapshot file, in bytes.
const MaxSnapshot = 1 << 30

// Entry is the state of one producer as a snapshot holds it: of its batches
// only the last one. Absent offsets and sequences are -1.
type Entry struct {
	ProducerID       int64
	Epoch            int16
	LastSequence     int32
	LastOffset       int64
	OffsetDelta      int32 // of the last batch: last offset - first offset
	Timestamp        int64 // ms
	CoordinatorEpoch int32
	TxnFirstOffset   int64 // of the open transaction
}

func (p *producer) entry() Entry {
	e := Entry{
		ProducerID: p.id, Epoch: p.epoch, LastSequence: p.lastSeq(), LastOffset: -1,
		Timestamp: p.lastTimestamp, CoordinatorEpoch: p.coordinatorEpoch, TxnFirstOffset: p.txnStart,
	}
	if p.count > 0 {
		last := p.batches[p.count-1]
		e.LastOffset, e.OffsetDelta = last.LastOffset, last.OffsetDelta
	}
	return e
}

func (e *Entry) producer() producer {
	p := producer{
		id: e.ProducerID, epoch: e.Epoch, coordinatorEpoch: e.CoordinatorEpoch,
		lastTimestamp: e.Timestamp, txnStart: e.TxnFirstOffset,
	}
	if e.LastOffset >= 0 {
		p.batches[0] = Batch{LastSequence: e.LastSequence, OffsetDelta: e.OffsetDelta, LastOffset: e.LastOffset, Timestamp: e.Timestamp}
		p.count = 1
	}
	return p
}

// Entries lists the producers by id.
func (s *State) Entries() []Entry {
	out := make([]Entry, 0, len(s.producers))
	for _, id := range slices.Sorted(maps.Keys(s.producers)) {
		out = append(out, s.producers[id].entry())
	}
	return out
}

// Encode gives the contents of a snapshot file.
func (s *State) Encode() []byte {
	be := binary.BigEndian
	b := make([]byte, 6, snapshotHeader+len(s.producers)*snapshotEntrySize)
	be.PutUint16(b, 1)
	b = be.AppendUint32(b, uint32(len(s.producers)))
	for _, id := range slices.Sorted(maps.Keys(s.producers)) {
		e := s.producers[id].entry()
		b = be.AppendUint64(b, uint64(id))
		b = be.AppendUint16(b, uint16(e.Epoch))
		b = be.AppendUint32(b, uint32(e.LastSequence))
		b = be.AppendUint64(b, uint64(e.LastOffset))
		b = be.AppendUint32(b, uint32(e.OffsetDelta))
		b = be.AppendUint64(b, uint64(e.Timestamp))
		b = be.AppendUint32(b, uint32(e.CoordinatorEpoch))
		b = be.AppendUint64(b, uint64(e.TxnFirstOffset))
	}
	be.PutUint32(b[2:], crc32.Checksum(b[6:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// DecodeSnapshot reads the contents of a snapshot file.
func DecodeSnapshot(data []byte) ([]Entry, error) {
	be := binary.BigEndian
	if len(data) < snapshotHeader || be.Uint16(data) != 1 {
		return nil, fmt.Errorf("%w: snapshot header", format.ErrCorruptFile)
	}
	if crc := crc32.Checksum(data[6:], crc32.MakeTable(crc32.Castagnoli)); crc != be.Uint32(data[2:]) {
		return nil, fmt.Errorf("%w: snapshot checksum", format.ErrCorruptFile)
	}
	count := int64(int32(be.Uint32(data[6:])))
	data = data[snapshotHeader:]
	if count < 0 || count*snapshotEntrySize != int64(len(data)) {
		return nil, fmt.Errorf("%w: snapshot of %d producers in %d bytes", format.ErrCorruptFile, count, len(data))
	}
	out := make([]Entry, 0, count)
	for ; len(data) > 0; data = data[snapshotEntrySize:] {
		out = append(out, decodeProducer(data))
	}
	return out, nil
}

func decodeProducer(b []byte) Entry {
	be := binary.BigEndian
	e := Entry{
		ProducerID: int64(be.Uint64(b)), Epoch: int16(be.Uint16(b[8:])), LastSequence: record.NoSequence, LastOffset: -1,
		Timestamp: int64(be.Uint64(b[26:])), CoordinatorEpoch: int32(be.Uint32(b[34:])), TxnFirstOffset: int64(be.Uint64(b[38:])),
	}
	if offset := int64(be.Uint64(b[14:])); offset >= 0 {
		e.LastSequence, e.LastOffset, e.OffsetDelta = int32(be.Uint32(b[10:])), offset, int32(be.Uint32(b[22:]))
	}
	return e
}
