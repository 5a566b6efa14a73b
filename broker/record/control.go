package record

import (
	"encoding/binary"
	"fmt"
)

// MarkerType is the kind of a transaction marker.
type MarkerType int16

// The markers that end a transaction.
const (
	Abort  MarkerType = 0
	Commit MarkerType = 1
)

// Marker is a transaction marker: the only record of a control batch.
type Marker struct {
	Type             MarkerType
	CoordinatorEpoch int32
}

// AppendMarker appends to dst a control batch that ends a transaction of
// producer pid. Timestamp is in ms.
func AppendMarker(dst []byte, pid int64, epoch int16, timestamp int64, m Marker) ([]byte, error) {
	opts := NewOptions()
	opts.ProducerID, opts.ProducerEpoch = pid, epoch
	opts.Transactional, opts.Control = true, true
	var key [4]byte // version int16 = 0, type int16
	binary.BigEndian.PutUint16(key[2:], uint16(m.Type))
	var value [6]byte // version int16 = 0, coordinator epoch int32
	binary.BigEndian.PutUint32(value[2:], uint32(m.CoordinatorEpoch))
	var w Builder
	w.Reset(opts)
	w.Append(timestamp, key[:], value[:])
	return w.Build(dst)
}

// ReadMarker reads the marker of a control batch. An empty batch, which
// compaction leaves behind, gives ok = false; so does a control record of
// another kind.
func (b Batch) ReadMarker() (m Marker, timestamp int64, ok bool, err error) {
	if b.Count() == 0 {
		return m, 0, false, nil
	}
	var it Iterator
	defer it.Close()
	if err := it.Reset(b, 1<<20); err != nil {
		return m, 0, false, err
	}
	if !it.Next() {
		return m, 0, false, it.Err()
	}
	key, value := it.Record.Key, it.Record.Value
	if len(key) < 4 {
		return m, 0, false, fmt.Errorf("%w: control key of %d bytes", ErrInvalidRecord, len(key))
	}
	m.Type = MarkerType(binary.BigEndian.Uint16(key[2:]))
	if m.Type != Abort && m.Type != Commit {
		return m, 0, false, nil
	}
	if len(value) < 6 {
		return m, 0, false, fmt.Errorf("%w: marker of %d bytes", ErrInvalidRecord, len(value))
	}
	m.CoordinatorEpoch = int32(binary.BigEndian.Uint32(value[2:]))
	return m, it.Record.Timestamp, true, nil
}
