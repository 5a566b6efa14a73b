package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/leatstream/leat/broker/vfs"
)

// ReserveFile holds space back in a log directory. Kafka looks at the folders
// there and at files that it knows, so that it is not disturbed.
const ReserveFile = ".leat-reserve"

// DefaultReserve is how many bytes of its volume a log directory holds back.
const DefaultReserve = 16 << 20

const (
	// volumeShare bounds the reserve on small volumes: the part of all bytes.
	volumeShare = 4
	// lowShare is the part of the reserve below which free space counts as none.
	lowShare = 8
)

// Reserve is the reserve of a log directory: a file that takes up space as long
// as there is enough. When the volume is full the file goes, and what it took is
// there for everything that makes room: opening, deletions, checkpoints,
// retention. Until there is enough for a new reserve no records are taken.
//
// All methods may be called concurrently; a nil space holds nothing back.
type Reserve struct {
	fs     vfs.FS
	dir    string
	size   int64 // 0: nothing is held back
	logger *slog.Logger
	onFull func() // called without mu after the reserve went

	full atomic.Bool // no records are taken
	mu   sync.Mutex  // creation and removal of the file
}

// NewReserve gives the space of a directory that holds back up to size bytes.
func NewReserve(fsys vfs.FS, dir string, size int64, logger *slog.Logger, onFull func()) *Reserve {
	if usage, err := fsys.Usage(dir); err == nil {
		size = min(size, usage.Total/volumeShare)
	}
	return &Reserve{fs: fsys, dir: dir, size: max(0, size), logger: logger, onFull: onFull}
}

func (s *Reserve) name() string { return filepath.Join(s.dir, ReserveFile) }

// low is the free space at or below which the volume counts as full.
func (s *Reserve) low() int64 { return s.size / lowShare }

// Err is nil as long as records are taken.
func (s *Reserve) Err() error {
	if s == nil || !s.full.Load() {
		return nil
	}
	return fmt.Errorf("%w: %s takes no records until %d bytes are free", ErrNoSpace, s.dir, s.size+2*s.low())
}

// Watch releases the reserve when the volume is all but full, and makes it again
// when there is enough space.
func (s *Reserve) Watch() {
	if s == nil || s.size == 0 {
		return
	}
	usage, err := s.fs.Usage(s.dir)
	if err != nil {
		s.logger.Warn("free space is unknown", "dir", s.dir, "err", err)
		return
	}
	switch {
	case !s.full.Load() && usage.Free <= s.low():
		s.release(fmt.Errorf("%d bytes are free", usage.Free))
	case s.full.Load() && usage.Free >= s.size+2*s.low():
		s.refill()
	}
}

// Open makes the reserve if there is space, and tells what is missing otherwise.
func (s *Reserve) Open() {
	if s.size == 0 {
		s.drop()
		return
	}
	usage, err := s.fs.Usage(s.dir)
	info, serr := s.fs.Stat(s.name())
	switch {
	case err != nil:
		s.logger.Warn("free space is unknown", "dir", s.dir, "err", err)
	case serr == nil && info.Size() == s.size && usage.Free <= s.low():
		s.release(fmt.Errorf("%d bytes are free", usage.Free))
	case serr == nil && info.Size() == s.size: // left by the last run
	case usage.Free < s.size+s.low():
		s.release(fmt.Errorf("%d bytes are free", usage.Free))
	default:
		s.refill()
	}
}

// drop removes a reserve that is not wanted any more.
func (s *Reserve) drop() {
	if err := s.fs.Remove(s.name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.logger.Warn("cannot remove the reserve", "dir", s.dir, "err", err)
	}
}

// refill makes the reserve; records are taken again.
func (s *Reserve) refill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := vfs.Reserve(s.fs, s.name(), s.size); err != nil {
		if !s.full.Swap(true) {
			s.logger.Warn("no space can be held back; no records are taken", "dir", s.dir, "err", err)
		}
		return
	}
	if s.full.Swap(false) {
		s.logger.Info("there is space again; records are taken", "dir", s.dir, "reserve", s.size)
	}
}

// release gives the reserve back; no records are taken from then on.
func (s *Reserve) release(cause error) {
	if s == nil || s.size == 0 {
		return
	}
	s.mu.Lock()
	first := !s.full.Swap(true)
	s.drop()
	s.mu.Unlock()
	if first {
		s.logger.Error("volume is full: no records are taken, the reserve is there for what makes room", "dir", s.dir, "err", cause)
	}
	if first && s.onFull != nil {
		s.onFull()
	}
}

// ReleaseReserve gives back what a full volume holds back for a log directory.
// It is for the start of a broker, which needs space before the logs are opened;
// a directory without a reserve, or with enough space, is left as it is.
func ReleaseReserve(fsys vfs.FS, dir string) error {
	name := filepath.Join(dir, ReserveFile)
	info, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if usage, err := fsys.Usage(dir); err != nil || usage.Free > info.Size()/lowShare {
		return err
	}
	return fsys.Remove(name)
}
