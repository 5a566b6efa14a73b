package commitlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"github.com/leatstream/leat/broker/commitlog/format"
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
	maxSnapshot       = 1 << 30
)

func encodeSnapshot(producers map[int64]*producer) []byte {
	be := binary.BigEndian
	b := make([]byte, 6, snapshotHeader+len(producers)*snapshotEntrySize)
	be.PutUint16(b, 1)
	b = be.AppendUint32(b, uint32(len(producers)))
	for _, id := range slices.Sorted(maps.Keys(producers)) {
		p := producers[id]
		last := batchMeta{lastSeq: p.lastSeq(), lastOffset: -1}
		if p.count > 0 {
			last = p.batches[p.count-1]
		}
		b = be.AppendUint64(b, uint64(id))
		b = be.AppendUint16(b, uint16(p.epoch))
		b = be.AppendUint32(b, uint32(last.lastSeq))
		b = be.AppendUint64(b, uint64(last.lastOffset))
		b = be.AppendUint32(b, uint32(last.delta))
		b = be.AppendUint64(b, uint64(p.lastTimestamp))
		b = be.AppendUint32(b, uint32(p.coordinatorEpoch))
		b = be.AppendUint64(b, uint64(p.txnStart))
	}
	be.PutUint32(b[2:], crc32.Checksum(b[6:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func decodeSnapshot(data []byte) ([]producer, error) {
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
	out := make([]producer, 0, count)
	for ; len(data) > 0; data = data[snapshotEntrySize:] {
		out = append(out, decodeProducer(data))
	}
	return out, nil
}

func decodeProducer(b []byte) producer {
	be := binary.BigEndian
	p := newProducer(int64(be.Uint64(b)))
	p.epoch = int16(be.Uint16(b[8:]))
	p.lastTimestamp = int64(be.Uint64(b[26:]))
	p.coordinatorEpoch = int32(be.Uint32(b[34:]))
	p.txnStart = int64(be.Uint64(b[38:]))
	if offset := int64(be.Uint64(b[14:])); offset >= 0 {
		p.batches[0] = batchMeta{
			lastSeq: int32(be.Uint32(b[10:])), lastOffset: offset,
			delta: int32(be.Uint32(b[22:])), timestamp: p.lastTimestamp,
		}
		p.count = 1
	}
	return p
}
