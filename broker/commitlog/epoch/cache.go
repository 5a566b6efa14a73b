package epoch

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/vfs"
)

// Entry says that a leader epoch began at an offset.
type Entry struct {
	Epoch       int32
	StartOffset int64
}

// History lists leader epochs; they strictly increase in epoch and in start offset.
// A history is never changed in place.
type History []Entry

// Cache is the history of leader epochs of one log.
//
// The zero value is empty. All methods may be called concurrently.
type Cache struct {
	mu      sync.RWMutex
	entries History
}

// Load reads the file of a log's folder; a missing one is empty, a damaged one
// is reported and left to recovery, which refills it.
func Load(fsys vfs.FS, name string) (*Cache, error) {
	c := &Cache{}
	data, err := vfs.ReadFile(fsys, name, format.MaxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	c.entries, err = Decode(data)
	return c, err
}

// Decode reads the contents of a leader-epoch-checkpoint. Entries that a later
// one contradicts are left out.
func Decode(data []byte) (History, error) {
	lines, err := format.Lines(data)
	if err != nil {
		return nil, err
	}
	var entries History
	for _, line := range lines {
		f := strings.Fields(line)
		if len(f) != 2 {
			return nil, fmt.Errorf("%w: epoch line %.80q", format.ErrCorruptFile, line)
		}
		epoch, err1 := strconv.ParseInt(f[0], 10, 32)
		start, err2 := strconv.ParseInt(f[1], 10, 64)
		if err := errors.Join(err1, err2); err != nil || epoch < 0 || start < 0 {
			return nil, fmt.Errorf("%w: epoch line %.80q", format.ErrCorruptFile, line)
		}
		entries = entries.Add(Entry{int32(epoch), start})
	}
	return entries, nil
}

// Encode gives the contents of a leader-epoch-checkpoint.
func (h History) Encode() []byte {
	lines := make([]string, len(h))
	for i, e := range h {
		lines[i] = fmt.Sprintf("%d %d", e.Epoch, e.StartOffset)
	}
	return format.JoinLines(lines)
}

// Add gives the history with e at the end, after taking away what contradicts it:
// a later or equal epoch, or a later or equal start.
func (h History) Add(e Entry) History {
	keep := len(h)
	for keep > 0 && (h[keep-1].Epoch >= e.Epoch || h[keep-1].StartOffset >= e.StartOffset) {
		keep--
	}
	return append(h[:keep:keep], e)
}

// History gives the current history.
func (c *Cache) History() History {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries
}

// Set replaces the history.
func (c *Cache) Set(entries History) {
	c.mu.Lock()
	c.entries = entries
	c.mu.Unlock()
}

// Needs tells whether assigning e would change anything.
func (c *Cache) Needs(e Entry) bool {
	entries := c.History()
	if len(entries) == 0 {
		return true
	}
	last := entries[len(entries)-1]
	return e.Epoch != last.Epoch || e.StartOffset < last.StartOffset
}

// Latest is the newest epoch.
func (c *Cache) Latest() (Entry, bool) {
	entries := c.History()
	if len(entries) == 0 {
		return Entry{-1, -1}, false
	}
	return entries[len(entries)-1], true
}

// EndOffset finds the largest epoch ≤ epoch and where it ends; logEnd is the
// end of the newest epoch. An epoch below all known ones ends where they start.
func (c *Cache) EndOffset(epoch int32, logEnd int64) (int32, int64) {
	entries := c.History()
	if epoch < 0 || len(entries) == 0 || epoch > entries[len(entries)-1].Epoch {
		return -1, -1
	}
	if epoch == entries[len(entries)-1].Epoch {
		return epoch, logEnd
	}
	above, _ := slices.BinarySearchFunc(entries, epoch+1, func(e Entry, target int32) int {
		return int(e.Epoch) - int(target)
	})
	if above == 0 {
		return epoch, entries[0].StartOffset
	}
	return entries[above-1].Epoch, entries[above].StartOffset
}

// At is the epoch of the record at offset, -1 when unknown.
func (c *Cache) At(offset int64) int32 { return c.History().At(offset) }

// At is the epoch of the record at offset, -1 when unknown.
func (h History) At(offset int64) int32 {
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].StartOffset <= offset {
			return h[i].Epoch
		}
	}
	return -1
}

// WithoutEnd gives what remains when everything at or above offset goes.
func (h History) WithoutEnd(offset int64) History {
	keep := len(h)
	for keep > 0 && h[keep-1].StartOffset >= offset {
		keep--
	}
	return h[:keep:keep]
}

// WithoutStart gives what remains when everything below offset goes; the epoch of
// the record at offset then starts there.
func (h History) WithoutStart(offset int64) History {
	drop := 0
	for drop < len(h) && h[drop].StartOffset <= offset {
		drop++
	}
	if drop == 0 {
		return h
	}
	return append(History{{h[drop-1].Epoch, offset}}, h[drop:]...)
}
