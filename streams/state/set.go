package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/leatstream/leat/streams/processor"
)

// formatVersion is the version of the layout in doc.go. A set of another
// version is not read: its stores are rebuilt from their changelogs.
const formatVersion = 1

// Config says where the stores of a task are.
type Config struct {
	// Dir is the folder of the task. Empty keeps all stores in memory.
	Dir    string
	Stores []processor.StoreSpec
	Cache  *Cache // shared; nil for one of its own
	Logger *slog.Logger
}

// Set is the stores of one task.
type Set struct {
	stores map[string]*Store
	order  []*Store
	mem    *memory
	disk   *disk // nil without stores on disk

	mu     sync.RWMutex // against views: Close waits for them
	closed bool
}

// Change is one record of a changelog topic. A nil Value is a tombstone.
type Change struct {
	Key, Value []byte
	Time       int64
	Clock      bool // a store's clock, not an entry
}

var (
	formatKey   = []byte("\x00format")
	storePrefix = []byte("\x00store")
	// clockKey is the reserved changelog key of a window store's clock. A
	// window's key cannot equal it: those end in four zero bytes.
	clockKey = []byte("leat.clock\xff\xff\xff\xff")
)

// Open opens the stores of a task and creates those that do not exist.
func Open(c Config) (*Set, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Set{stores: map[string]*Store{}, mem: newMemory()}
	for _, spec := range c.Stores {
		var e engine = s.mem
		if c.Dir != "" && !spec.InMemory {
			if s.disk == nil {
				d, err := openFormat(c)
				if err != nil {
					return nil, err
				}
				s.disk = d
			}
			e = s.disk
		}
		st := newStore(spec, e)
		s.stores[spec.Name] = st
		s.order = append(s.order, st)
		if err := st.load(); err != nil {
			return nil, errors.Join(err, s.Close(false))
		}
	}
	return s, nil
}

// openFormat opens the task's folder, emptied first if it is of another format.
func openFormat(c Config) (*disk, error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	d, err := openDisk(c.Dir, c.Cache, c.Logger)
	if err != nil {
		return nil, err
	}
	val, ok, err := d.get(formatKey)
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	if ok && (len(val) != 1 || val[0] != formatVersion) {
		c.Logger.Warn("state is of another format and is rebuilt", "dir", c.Dir)
		if err := errors.Join(d.close(), os.RemoveAll(c.Dir)); err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
		return openFormat(c)
	}
	if !ok {
		if err := d.db.Set(formatKey, []byte{formatVersion}, pebble.NoSync); err != nil {
			return nil, errors.Join(err, d.close())
		}
	}
	return d, nil
}

// Store is the store of that name.
func (s *Set) Store(name string) (*Store, error) {
	st, ok := s.stores[name]
	if !ok {
		return nil, fmt.Errorf("state: %s: %w", name, ErrNoStore)
	}
	return st, nil
}

// Stores are all stores in the order they were declared.
func (s *Set) Stores() []*Store { return s.order }

// Checkpoint says how much of its changelog the store contains.
func (s *Store) Checkpoint() Checkpoint { return s.checkpoint }

// Dirty tells whether there is anything to commit.
func (s *Set) Dirty() bool {
	for _, st := range s.order {
		if len(st.dirty) > 0 || st.clockDirty {
			return true
		}
	}
	return false
}

// Uncommitted is the size of what has not been applied in bytes, roughly.
func (s *Set) Uncommitted() int64 {
	var n int64
	for _, st := range s.order {
		n += st.changed
	}
	return n
}

// Changes calls fn with what the changelogs need for the next Apply, the data
// of all stores first and the clocks last. wall becomes the time of clock records:
// it keeps the broker from deleting the changelog of a program that replays
// old events. fn must not keep the bytes.
func (s *Set) Changes(wall int64, fn func(store string, c Change) error) error {
	var key []byte
	for _, st := range s.order {
		if st.spec.NoChangelog {
			continue
		}
		for _, e := range st.sortedDirty() {
			key = append(key[:0], e.key...)
			if st.spec.Kind == processor.WindowStore {
				key = append(key, 0, 0, 0, 0)
			}
			if err := fn(st.spec.Name, Change{Key: key, Value: st.bare(e.val), Time: e.time}); err != nil {
				return err
			}
		}
	}
	for _, st := range s.order {
		if st.spec.NoChangelog || !st.clockDirty {
			continue
		}
		if err := fn(st.spec.Name, Change{Key: clockKey, Value: st.clockValue(), Time: wall, Clock: true}); err != nil {
			return err
		}
	}
	return nil
}

// bare is a value without its time.
func (s *Store) bare(val []byte) []byte {
	if val == nil || !s.spec.Timestamped {
		return val
	}
	return val[8:]
}

func (s *Store) clockValue() []byte {
	val := append(make([]byte, 0, 17), formatVersion)
	val = binary.BigEndian.AppendUint64(val, uint64(s.clock))
	return binary.BigEndian.AppendUint64(val, uint64(s.emitted))
}

// Apply makes everything that was written since the last Apply part of the
// stores, in one batch with the checkpoints: for each store the position after
// the records that Changes asked for. A store without one keeps its old.
func (s *Set) Apply(checkpoints map[string]Checkpoint) error {
	batches := map[engine]batch{}
	for _, st := range s.order {
		if cp, ok := checkpoints[st.spec.Name]; ok {
			st.checkpoint = cp
		} else if len(st.dirty) == 0 && !st.clockDirty {
			continue
		}
		b := batches[st.engine]
		if b == nil {
			b = st.engine.newBatch()
			batches[st.engine] = b
		}
		if err := st.apply(b); err != nil {
			return fmt.Errorf("state: store %s: %w", st.spec.Name, err)
		}
	}
	for _, b := range batches {
		if err := b.commit(); err != nil {
			return fmt.Errorf("state: commit: %w", err)
		}
	}
	return nil
}

// Discard drops everything that was written since the last Apply.
func (s *Set) Discard() error {
	for _, st := range s.order {
		st.reset()
		if err := st.load(); err != nil {
			return err
		}
	}
	return nil
}

// Flush makes what was applied durable; Close(true) does so, too.
func (s *Set) Flush() error {
	if s.disk == nil {
		return nil
	}
	return s.disk.flush()
}

// Close closes the stores, waiting for views; with flush, what was applied is
// made durable first.
func (s *Set) Close(flush bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.disk == nil {
		return nil
	}
	var err error
	if flush {
		err = s.disk.flush()
	}
	return errors.Join(err, s.disk.close())
}
