package state

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
)

// Cache is the block cache which the sets of a process share.
type Cache struct{ c *pebble.Cache }

// NewCache makes a cache of the given size in bytes. Close releases it after
// all sets that use it are closed.
func NewCache(size int64) *Cache { return &Cache{pebble.NewCache(size)} }

// Close gives the cache's memory back.
func (c *Cache) Close() { c.c.Unref() }

// memTableSize is the write buffer of one task, in bytes.
const memTableSize = 8 << 20

// disk is the engine of stores on disk. The write-ahead log is off: a crash
// loses the latest commits as a whole, never the middle of one, and the
// changelog has them.
type disk struct{ db *pebble.DB }

func openDisk(dir string, cache *Cache, log *slog.Logger) (*disk, error) {
	opts := &pebble.Options{
		DisableWAL:         true,
		MemTableSize:       memTableSize,
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             pebbleLog{log},
		MaxOpenFiles:       256,
	}
	if cache != nil {
		opts.Cache = cache.c
	}
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("state: open %s: %w", dir, err)
	}
	return &disk{db}, nil
}

// IsLocked tells whether a set could not be opened because its folder is in
// use, by this process or another.
func IsLocked(err error) bool {
	return err != nil && (errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "lock held by current process"))
}

// pebbleLog passes what pebble says on at debug level: its infos are many.
type pebbleLog struct{ log *slog.Logger }

func (l pebbleLog) Infof(format string, args ...any)  { l.log.Debug(fmt.Sprintf(format, args...)) }
func (l pebbleLog) Errorf(format string, args ...any) { l.log.Error(fmt.Sprintf(format, args...)) }
func (l pebbleLog) Fatalf(format string, args ...any) {
	panic("state: pebble cannot go on: " + fmt.Sprintf(format, args...))
}

func (d *disk) get(key []byte) ([]byte, bool, error) { return getFrom(d.db, key) }

func (d *disk) scan(lower, upper []byte, fn func(key, value []byte) (bool, error)) error {
	return scanFrom(d.db, lower, upper, fn)
}

func getFrom(r pebble.Reader, key []byte) ([]byte, bool, error) {
	val, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	out := append([]byte{}, val...)
	return out, true, closer.Close()
}

func scanFrom(r pebble.Reader, lower, upper []byte, fn func(key, value []byte) (bool, error)) (err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		if more, err := fn(it.Key(), it.Value()); err != nil || !more {
			return err
		}
	}
	return it.Error()
}

func (d *disk) view() (reader, error) { return diskView{d.db.NewSnapshot()}, nil }
func (d *disk) flush() error          { return d.db.Flush() }
func (d *disk) close() error          { return d.db.Close() }

type diskView struct{ s *pebble.Snapshot }

func (v diskView) get(key []byte) ([]byte, bool, error) { return getFrom(v.s, key) }
func (v diskView) close() error                         { return v.s.Close() }
func (v diskView) scan(lower, upper []byte, fn func(key, value []byte) (bool, error)) error {
	return scanFrom(v.s, lower, upper, fn)
}

func (d *disk) newBatch() batch { return &diskBatch{d.db.NewBatch()} }

type diskBatch struct{ b *pebble.Batch }

func (b *diskBatch) set(key, value []byte) error { return b.b.Set(key, value, nil) }
func (b *diskBatch) delete(key []byte) error     { return b.b.Delete(key, nil) }
func (b *diskBatch) size() int                   { return b.b.Len() }
func (b *diskBatch) deleteRange(lower, upper []byte) error {
	return b.b.DeleteRange(slices.Clone(lower), slices.Clone(upper), nil)
}

func (b *diskBatch) commit() error {
	return errors.Join(b.b.Commit(pebble.NoSync), b.b.Close())
}
