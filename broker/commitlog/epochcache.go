package commitlog

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

const epochFile = "leader-epoch-checkpoint"

// epochEntry says that a leader epoch began at an offset.
type epochEntry struct {
	epoch int32
	start int64
}

// epochCache is the history of leader epochs of one log.
//
// Invariant: entries strictly increase in epoch and in start offset. The file
// holds the same entries after every change that returned nil.
type epochCache struct {
	mu      sync.RWMutex
	entries []epochEntry // replaced, never changed in place
}

// loadEpochs reads the file of a log's folder; a missing one is empty, a
// damaged one is reported and left to recovery, which refills it.
func loadEpochs(fsys vfs.FS, name string) (*epochCache, error) {
	c := &epochCache{}
	data, err := vfs.ReadFile(fsys, name, format.MaxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	c.entries, err = decodeEpochs(data)
	return c, err
}

func decodeEpochs(data []byte) ([]epochEntry, error) {
	lines, err := format.Lines(data)
	if err != nil {
		return nil, err
	}
	var entries []epochEntry
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
		entries = addEpoch(entries, epochEntry{int32(epoch), start})
	}
	return entries, nil
}

func encodeEpochs(entries []epochEntry) []byte {
	lines := make([]string, len(entries))
	for i, e := range entries {
		lines[i] = fmt.Sprintf("%d %d", e.epoch, e.start)
	}
	return format.JoinLines(lines)
}

// addEpoch gives entries with e at the end, after taking away those that
// contradict it: a later or equal epoch, or a later or equal start.
func addEpoch(entries []epochEntry, e epochEntry) []epochEntry {
	keep := len(entries)
	for keep > 0 && (entries[keep-1].epoch >= e.epoch || entries[keep-1].start >= e.start) {
		keep--
	}
	return append(entries[:keep:keep], e)
}

// snapshot gives the current entries, which must not be changed.
func (c *epochCache) snapshot() []epochEntry {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries
}

func (c *epochCache) set(entries []epochEntry) {
	c.mu.Lock()
	c.entries = entries
	c.mu.Unlock()
}

// needs tells whether assigning e would change anything.
func (c *epochCache) needs(e epochEntry) bool {
	entries := c.snapshot()
	if len(entries) == 0 {
		return true
	}
	last := entries[len(entries)-1]
	return e.epoch != last.epoch || e.start < last.start
}

// latest is the newest epoch.
func (c *epochCache) latest() (epochEntry, bool) {
	entries := c.snapshot()
	if len(entries) == 0 {
		return epochEntry{-1, -1}, false
	}
	return entries[len(entries)-1], true
}

// endOffset finds the largest epoch ≤ epoch and where it ends; logEnd is the
// end of the newest epoch. An epoch below all known ones ends where they start.
func (c *epochCache) endOffset(epoch int32, logEnd int64) (int32, int64) {
	entries := c.snapshot()
	if epoch < 0 || len(entries) == 0 || epoch > entries[len(entries)-1].epoch {
		return -1, -1
	}
	if epoch == entries[len(entries)-1].epoch {
		return epoch, logEnd
	}
	above, _ := slices.BinarySearchFunc(entries, epoch+1, func(e epochEntry, target int32) int {
		return int(e.epoch) - int(target)
	})
	if above == 0 {
		return epoch, entries[0].start
	}
	return entries[above-1].epoch, entries[above].start
}

// at is the epoch of the record at offset, -1 when unknown.
func (c *epochCache) at(offset int64) int32 { return epochAt(c.snapshot(), offset) }

// epochAt is the epoch of the record at offset, -1 when unknown.
func epochAt(entries []epochEntry, offset int64) int32 {
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].start <= offset {
			return entries[i].epoch
		}
	}
	return -1
}

// withoutEnd gives the entries that remain when everything at or above offset goes.
func withoutEnd(entries []epochEntry, offset int64) []epochEntry {
	keep := len(entries)
	for keep > 0 && entries[keep-1].start >= offset {
		keep--
	}
	return entries[:keep:keep]
}

// withoutStart gives the entries that remain when everything below offset goes;
// the epoch of the record at offset then starts there.
func withoutStart(entries []epochEntry, offset int64) []epochEntry {
	drop := 0
	for drop < len(entries) && entries[drop].start <= offset {
		drop++
	}
	if drop == 0 {
		return entries
	}
	return append([]epochEntry{{entries[drop-1].epoch, offset}}, entries[drop:]...)
}
