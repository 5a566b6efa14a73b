package state

import (
	"encoding/binary"
	"fmt"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
)

// load reads the store's checkpoint and clock from the engine.
func (s *Store) load() error {
	val, ok, err := s.engine.get(s.metaKey())
	if err != nil {
		return fmt.Errorf("state: store %s: %w", s.spec.Name, err)
	}
	s.checkpoint, s.clock, s.emitted = Checkpoint{}, processor.NoTime, processor.NoTime
	if !ok {
		return nil
	}
	if len(val) != 40 {
		return fmt.Errorf("state: store %s: checkpoint of %d bytes: %w", s.spec.Name, len(val), serde.ErrMalformed)
	}
	s.checkpoint.Offset = int64(binary.BigEndian.Uint64(val))
	copy(s.checkpoint.TopicID[:], val[8:24])
	s.clock = int64(binary.BigEndian.Uint64(val[24:]))
	s.emitted = int64(binary.BigEndian.Uint64(val[32:]))
	return nil
}

func (s *Store) metaKey() []byte { return append(append([]byte{}, storePrefix...), s.spec.Name...) }

func (s *Store) writeMeta(b batch) error {
	val := binary.BigEndian.AppendUint64(nil, uint64(s.checkpoint.Offset))
	val = append(val, s.checkpoint.TopicID[:]...)
	val = binary.BigEndian.AppendUint64(val, uint64(s.clock))
	val = binary.BigEndian.AppendUint64(val, uint64(s.emitted))
	return b.set(s.metaKey(), val)
}

// apply writes the overlay to a batch and leaves committed entries behind as a
// cache, unless they are too many.
func (s *Store) apply(b batch) error {
	if err := s.expire(b); err != nil {
		return err
	}
	for _, e := range s.sortedDirty() {
		if err := s.applyEntry(b, e); err != nil {
			return err
		}
		e.dirty = false
		e.inEngine = e.val != nil
	}
	clear(s.dirty)
	s.dirty = s.dirty[:0]
	s.fresh = s.fresh[:0]
	s.clockDirty, s.changed = false, 0
	if s.size > cacheLimit {
		s.overlay, s.size = map[string]*entry{}, 0
	}
	return s.writeMeta(b)
}

func (s *Store) applyEntry(b batch, e *entry) error {
	s.keyBuf = append(append(s.keyBuf[:0], s.prefix...), e.key...)
	if e.val != nil {
		if err := b.set(s.keyBuf, e.val); err != nil {
			return err
		}
	} else if e.inEngine {
		if err := b.delete(s.keyBuf); err != nil {
			return err
		}
	}
	if s.spec.Kind != processor.WindowStore || (e.val != nil) == e.inEngine {
		return nil
	}
	s.keyBuf = s.appendMark(s.keyBuf[:0], e.key)
	if e.val != nil {
		return b.set(s.keyBuf, nil)
	}
	return b.delete(s.keyBuf)
}

// appendMark makes the index key of a window's data key.
func (s *Store) appendMark(dst []byte, data string) []byte {
	n := len(data) - 8
	dst = append(dst, s.index...)
	dst = append(dst, data[n:]...)
	return append(dst, data[:n]...)
}

// expire removes the windows whose start the clock has left behind by the
// retention or more. They are closed and, with emission on close, emitted: the
// retention is never less than size plus grace. Changelog topics forget them
// by their own retention.
func (s *Store) expire(b batch) error {
	if s.spec.Kind != processor.WindowStore || s.clock < 0 {
		return nil
	}
	limit := s.clock - s.spec.Retention.Milliseconds()
	if limit < 0 || limit < s.expired+s.spec.WindowSize.Milliseconds() {
		return nil
	}
	s.expired = limit
	marks, err := s.engineMarks(0, limit)
	if err != nil || len(marks) == 0 {
		return err
	}
	var data []byte
	for _, m := range marks {
		data = binary.BigEndian.AppendUint64(append(data[:0], m.key...), uint64(m.start))
		if e := s.overlay[string(data)]; e != nil {
			s.forget(e)
		}
		if err := b.delete(append(append([]byte{}, s.prefix...), data...)); err != nil {
			return err
		}
	}
	return b.deleteRange(s.index, s.markBound(limit+1))
}

// forget notes that an entry's value has left the engine.
func (s *Store) forget(e *entry) {
	e.inEngine = false
	if !e.dirty {
		s.size -= int64(len(e.key)+len(e.val)) + entryOverhead
		delete(s.overlay, e.key)
	}
}

// reset drops the overlay.
func (s *Store) reset() {
	s.overlay, s.size, s.changed = map[string]*entry{}, 0, 0
	s.dirty, s.fresh = nil, nil
	s.clockDirty = false
}

// Restored is one record read back from a changelog.
type Restored struct {
	Change
	Offset int64
}

// Restore applies records of the store's changelog, in order, in one batch
// with the new checkpoint: the position after them is next, which may lie
// beyond the last one. Only before the task runs.
func (s *Store) Restore(records []Restored, next int64) error {
	b := s.engine.newBatch()
	var val []byte
	for _, r := range records {
		var err error
		if val, err = s.restore(b, r, val); err != nil {
			return fmt.Errorf("state: restore of %s at offset %d: %w", s.spec.Name, r.Offset, err)
		}
	}
	s.checkpoint.Offset = next
	if err := s.writeMeta(b); err != nil {
		return err
	}
	if err := b.commit(); err != nil {
		return fmt.Errorf("state: restore of %s: %w", s.spec.Name, err)
	}
	return nil
}

func (s *Store) restore(b batch, r Restored, buf []byte) ([]byte, error) {
	key := r.Key
	if s.spec.Kind == processor.WindowStore {
		if string(key) == string(clockKey) {
			return buf, s.restoreClock(r.Value)
		}
		if len(key) < 12 {
			return buf, fmt.Errorf("a window's key has at least 12 bytes, not %d: %w", len(key), serde.ErrMalformed)
		}
		key = key[:len(key)-4]
	}
	full := append(append([]byte{}, s.prefix...), key...)
	if r.Value == nil {
		if err := b.delete(full); err != nil || s.spec.Kind != processor.WindowStore {
			return buf, err
		}
		return buf, b.delete(s.appendMark(nil, string(key)))
	}
	buf = buf[:0]
	if s.spec.Timestamped {
		buf = binary.BigEndian.AppendUint64(buf, uint64(r.Time))
	}
	buf = append(buf, r.Value...)
	if err := b.set(full, buf); err != nil || s.spec.Kind != processor.WindowStore {
		return buf, err
	}
	return buf, b.set(s.appendMark(nil, string(key)), nil)
}

func (s *Store) restoreClock(val []byte) error {
	if len(val) != 17 || val[0] != formatVersion {
		return fmt.Errorf("clock record: %w", serde.ErrMalformed)
	}
	s.clock = int64(binary.BigEndian.Uint64(val[1:]))
	s.emitted = int64(binary.BigEndian.Uint64(val[9:]))
	return nil
}

// Bind says which topic the store's changelog is. If it is not the one the
// content came from, the content is dropped: the topic was deleted and made
// anew.
func (s *Store) Bind(topicID [16]byte) (wiped bool, err error) {
	if s.checkpoint.Offset > 0 && s.checkpoint.TopicID != topicID {
		wiped = true
		if err := s.Wipe(); err != nil {
			return wiped, err
		}
	}
	s.checkpoint.TopicID = topicID
	return wiped, nil
}

// Wipe empties the store, so that it is rebuilt from its changelog.
func (s *Store) Wipe() error {
	s.reset()
	s.checkpoint, s.clock, s.emitted, s.expired = Checkpoint{}, processor.NoTime, processor.NoTime, 0
	b := s.engine.newBatch()
	if err := b.deleteRange(s.prefix, successor(s.prefix)); err != nil {
		return err
	}
	if err := b.deleteRange(s.index, successor(s.index)); err != nil {
		return err
	}
	if err := b.delete(s.metaKey()); err != nil {
		return err
	}
	if err := b.commit(); err != nil {
		return fmt.Errorf("state: wipe of %s: %w", s.spec.Name, err)
	}
	return nil
}
