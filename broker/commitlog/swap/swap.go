package swap

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/scan"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// leftover is a file of a replacement that a crash interrupted.
type leftover struct {
	name   string // without the suffix
	base   int64
	suffix string // of the segment's file
}

// folder is the folder of a log that is not open.
type folder struct {
	fs   vfs.FS
	path string
}

func (f folder) name(file string) string { return filepath.Join(f.path, file) }

func (f folder) sync() error { return f.fs.SyncDir(f.path) }

// Finish completes or undoes, in the folder of a log, the replacement of segments
// that a crash interrupted; entries are what the folder holds. As long as a
// .cleaned is there, those .swap files that come after it are not whole and the old
// files count; otherwise the old files that the new ones cover go. It gives true if
// it changed the folder.
func Finish(fsys vfs.FS, path string, entries []fs.DirEntry, tp record.TopicPartition, logger *slog.Logger) (changed bool, err error) {
	f := folder{fsys, path}
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
		} else if err := f.fs.Remove(f.name(s.name + format.SwapSuffix)); err != nil {
			return true, err
		}
	}
	// The .swap files go before the .cleaned ones that tell what they are.
	if err := f.sync(); err != nil {
		return true, err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), format.CleanedSuffix) {
			if err := f.fs.Remove(f.name(e.Name())); err != nil {
				return true, err
			}
		}
	}
	if len(whole) == 0 {
		return true, nil
	}
	logger.Info("completing a replacement of segments", "partition", tp, "files", len(whole))
	return true, f.complete(entries, whole)
}

// complete takes away the old files between the first new offset and the
// last, and gives the new ones their names, logs first.
func (f folder) complete(entries []fs.DirEntry, swaps []leftover) error {
	from, to := int64(math.MaxInt64), int64(-1)
	bases := map[int64]bool{}
	for _, s := range swaps {
		if s.suffix != format.LogSuffix {
			continue
		}
		end, err := f.endOfFile(s)
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
		if err := f.fs.Remove(f.name(e.Name())); err != nil {
			return err
		}
	}
	if err := f.sync(); err != nil {
		return err
	}
	for _, logs := range [...]bool{true, false} {
		for _, s := range swaps {
			if name := f.name(s.name); (s.suffix == format.LogSuffix) == logs {
				if err := f.fs.Rename(name+format.SwapSuffix, name); err != nil {
					return err
				}
			}
		}
		if err := f.sync(); err != nil {
			return err
		}
	}
	return nil
}

// endOfFile is the offset after the last batch of a .swap log; one with damage
// reaches as far as it is intact.
func (f folder) endOfFile(s leftover) (end int64, err error) {
	log, err := f.fs.OpenFile(f.name(s.name+format.SwapSuffix), os.O_RDONLY, 0)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	size, err := log.Size()
	if err != nil {
		return 0, err
	}
	end = s.base + 1 // covers the segment of the same name, even if empty
	sc := scan.New(log, 0, size, scan.HeaderChunk)
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
