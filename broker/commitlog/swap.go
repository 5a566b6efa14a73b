package commitlog

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"strings"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/scan"
)

// leftover is a file of a replacement that a crash interrupted.
type leftover struct {
	name   string // without the suffix
	base   int64
	suffix string // of the segment's file
}

// finishSwap completes or undoes the replacement of segments that a crash
// interrupted (see Rewrite). As long as a .cleaned is there, those .swap files
// that come after it are not whole and the old files count; otherwise the old
// files that the new ones cover go. It gives true if it changed the folder.
func (l *Log) finishSwap(entries []fs.DirEntry) (bool, error) {
	var swaps []leftover
	found, firstCleaned := false, int64(math.MaxInt64)
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), format.CleanedSuffix); ok {
			found = true
			if base, suffix := format.SplitName(name); suffix != "" {
				firstCleaned = min(firstCleaned, base)
			}
		}
		if name, ok := strings.CutSuffix(e.Name(), format.SwapSuffix); ok {
			found = true
			if base, suffix := format.SplitName(name); suffix != "" {
				swaps = append(swaps, leftover{name, base, suffix})
			}
		}
	}
	if !found {
		return false, nil
	}
	var whole []leftover
	for _, s := range swaps {
		if s.base < firstCleaned {
			whole = append(whole, s)
		} else if err := l.dir.fs.Remove(l.dir.name(s.name + format.SwapSuffix)); err != nil {
			return true, err
		}
	}
	// The .swap files go before the .cleaned ones that tell what they are.
	if err := l.syncFolder(); err != nil {
		return true, err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), format.CleanedSuffix) {
			if err := l.dir.fs.Remove(l.dir.name(e.Name())); err != nil {
				return true, err
			}
		}
	}
	if len(whole) == 0 {
		return true, nil
	}
	l.logger.Info("completing a replacement of segments", "partition", l.tp, "files", len(whole))
	return true, l.completeSwap(entries, whole)
}

func (l *Log) syncFolder() error { return l.dir.fs.SyncDir(*l.dir.path.Load()) }

// completeSwap takes away the old files between the first new offset and the
// last, and gives the new ones their names, logs first.
func (l *Log) completeSwap(entries []fs.DirEntry, swaps []leftover) error {
	from, to := int64(math.MaxInt64), int64(-1)
	bases := map[int64]bool{}
	for _, s := range swaps {
		if s.suffix != format.LogSuffix {
			continue
		}
		end, err := l.endOfFile(s)
		if err != nil {
			return err
		}
		from, to = min(from, s.base), max(to, end)
		bases[s.base] = true
	}
	for _, e := range entries {
		base, suffix := format.SplitName(e.Name())
		if suffix == "" || base < from || base >= to || suffix == format.SnapshotSuffix && bases[base] {
			continue
		}
		if err := l.dir.fs.Remove(l.dir.name(e.Name())); err != nil {
			return err
		}
	}
	if err := l.syncFolder(); err != nil {
		return err
	}
	for _, logs := range [...]bool{true, false} {
		for _, s := range swaps {
			if name := l.dir.name(s.name); (s.suffix == format.LogSuffix) == logs {
				if err := l.dir.fs.Rename(name+format.SwapSuffix, name); err != nil {
					return err
				}
			}
		}
		if err := l.syncFolder(); err != nil {
			return err
		}
	}
	return nil
}

// endOfFile is the offset after the last batch of a .swap log; one with damage
// reaches as far as it is intact.
func (l *Log) endOfFile(s leftover) (end int64, err error) {
	f, err := l.dir.fs.OpenFile(l.dir.name(s.name+format.SwapSuffix), readFlags, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	end = s.base + 1 // covers the segment of the same name, even if empty
	sc := scan.New(f, 0, size, scan.HeaderChunk)
	defer sc.Free()
	for {
		b, n, err := sc.Header()
		if errors.Is(err, io.EOF) || scan.BadBytes(err) {
			return end, nil
		}
		if err != nil {
			return 0, err
		}
		end = max(end, b.LastOffset()+1)
		sc.Skip(n)
	}
}
