package commitlog

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

const (
	deleteFolderSuffix = "-delete"
	futureFolderSuffix = "-future"
	// movedFile lies in the folder of a log whose copy is about to take its
	// place, and holds the copy's log directory. If a crash leaves both, this
	// one is the older.
	movedFile = "moved-to"
	maxMoved  = 4096
)

// Move is the copy of a log into another log directory, in a folder with the
// suffix -future, until it takes the log's place. The log is in full use
// meanwhile. After a restart the copy begins anew: see Manager.Interrupted.
type Move struct {
	m      *Manager
	source *Log
	future *Log
	to     *logDir

	mu    sync.Mutex // copy, commit, cancel: one at a time
	over  bool
	begun int64 // source.cuts when the copy began
}

// BeginMove starts to copy a log into another log directory, or gives the move
// that is under way there; one to another directory is cancelled. It gives nil
// if the log lies there already.
func (m *Manager) BeginMove(tp record.TopicPartition, dir string) (*Move, error) {
	mu := m.creation(tp)
	mu.Lock()
	defer mu.Unlock()
	l, ok := m.Log(tp)
	if !ok {
		return nil, fmt.Errorf("%w: %v", ErrUnknownLog, tp)
	}
	to := m.dirAt(dir)
	if to == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnknownDir, dir)
	}
	if err := errors.Join(l.health.Err(), to.health.Err()); err != nil {
		return nil, err
	}
	if v := m.move(tp); v != nil {
		if v.to == to {
			return v, nil
		}
		if err := v.cancel(); err != nil {
			return nil, err
		}
	}
	if m.dirOf(l) == to {
		return nil, nil
	}
	v := &Move{m: m, source: l, to: to, begun: l.cuts.Load()}
	o := to.options(tp, l.Config())
	o.path, o.start = filepath.Join(to.path, folderWith(tp, futureFolderSuffix)), l.StartOffset()
	var err error
	if v.future, err = openLog(o); err == nil {
		err = errors.Join(v.future.SetTopicID(l.TopicID()), m.cfg.FS.SyncDir(to.path))
	}
	if err != nil {
		return nil, to.health.FailUnlessFull("create log", err)
	}
	m.mu.Lock()
	m.moves[tp] = v
	m.mu.Unlock()
	return v, nil
}

// move is the move of a log that is under way, nil: none.
func (m *Manager) move(tp record.TopicPartition) *Move {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.moves[tp]
}

// futures lists the copies under way in a directory.
func (m *Manager) futures(d *logDir) (out []*Log) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, v := range m.moves {
		if v.to == d {
			out = append(out, v.future)
		}
	}
	return out
}

// dirAt is the directory with just this path, as it is listed.
func (m *Manager) dirAt(path string) *logDir {
	for _, d := range m.dirs {
		if d.path == path {
			return d
		}
	}
	return nil
}

// Interrupted tells to which directories logs were being moved when the manager
// before this one ended. Those copies are dropped.
func (m *Manager) Interrupted() map[record.TopicPartition]string {
	out := map[record.TopicPartition]string{}
	for _, d := range m.dirs {
		for _, tp := range d.interrupted {
			out[tp] = d.path
		}
	}
	return out
}

// folderWith names a folder topic-partition.id and a suffix, within the 255
// bytes that file systems take.
func folderWith(tp record.TopicPartition, suffix string) string {
	suffix = fmt.Sprintf("-%d.%s%s", tp.Partition, strings.ReplaceAll(uuid.NewString(), "-", ""), suffix)
	return tp.Topic[:min(len(tp.Topic), 255-len(suffix))] + suffix
}

// Partition names the partition whose log moves.
func (v *Move) Partition() record.TopicPartition { return v.source.tp }

// Source is the log that is copied.
func (v *Move) Source() *Log { return v.source }

// Future is the copy.
func (v *Move) Future() *Log { return v.future }

// Copy copies about maxBytes more, at least a batch, and tells how many bytes
// that were and whether the copy is complete for now. It is the caller's to
// bound the rate. A source that was cut is copied anew.
func (v *Move) Copy(maxBytes int) (copied int, done bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return 0, false, ErrClosed
	}
	start := v.source.StartOffset()
	if cuts := v.source.cuts.Load(); cuts != v.begun || v.future.EndOffset() < start {
		if err := v.future.TruncateFullyAndStartAt(start); err != nil {
			return 0, false, err
		}
		v.begun = cuts
	}
	buf, _ := v.m.copies.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	defer v.m.copies.Put(buf)
	end := v.source.EndOffset()
	data, err := v.read(buf, maxBytes)
	if err != nil || v.source.cuts.Load() != v.begun {
		return 0, false, err
	}
	if err := v.append(data); err != nil {
		return 0, false, err
	}
	if len(data) == 0 && v.source.StartOffset() <= v.future.EndOffset() { // else its records are gone
		v.future.skip(end)
	}
	if err := v.future.AdvanceStart(min(v.source.StartOffset(), v.future.EndOffset())); err != nil {
		return 0, false, err
	}
	return len(data), v.complete(), nil
}

// read gives the next whole batches of the source, none at its end. They lie in
// buf.
func (v *Move) read(buf *[]byte, maxBytes int) ([]byte, error) {
	slice, err := v.source.Read(v.future.EndOffset(), maxBytes, true, v.source.EndOffset())
	if errors.Is(err, ErrOffsetOutOfRange) && v.source.usable() == nil {
		return nil, nil // the next call sees what has changed
	}
	if err != nil {
		return nil, err
	}
	defer slice.Release()
	data, err := slice.Bytes((*buf)[:0])
	*buf = data
	if err != nil {
		return nil, err
	}
	for n := 0; ; {
		b, _, err := record.Next(data[n:])
		if len(b) == 0 && n == 0 && err != nil {
			return nil, frameError(err) // Read gives the first batch whole
		}
		if err != nil || len(b) == 0 {
			return data[:n], nil
		}
		n += len(b)
	}
}

// skip has the log end at offset, after a gap, as the log ends that it copies.
func (l *Log) skip(offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end.Store(max(offset, l.EndOffset()))
}

// append adds batches to the copy. Its first one may begin before the source's
// start offset.
func (v *Move) append(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if first := record.Batch(data).BaseOffset(); v.future.Size() == 0 && first < v.future.EndOffset() {
		if err := v.future.TruncateFullyAndStartAt(first); err != nil {
			return err
		}
	}
	_, err := v.future.AppendAsFollower(data)
	return err
}

// complete tells whether nothing is missing. The caller holds mu.
func (v *Move) complete() bool {
	return v.source.cuts.Load() == v.begun && v.future.EndOffset() == v.source.EndOffset()
}

// Commit puts the copy in the place of the log and gives it; the old log is
// closed and its files are removed. The caller sees to it that nobody appends
// to the old log or cuts it meanwhile. ErrMoveBehind says that there is more to
// copy; nothing has happened then. An error together with a log says that the
// copy has taken the place and the clearing up failed. After ErrMoveTorn both
// logs are closed, and the next opening decides between them.
func (v *Move) Commit() (*Log, error) {
	mu := v.m.creation(v.source.tp)
	mu.Lock()
	defer mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return nil, ErrClosed
	}
	if !v.complete() {
		return nil, fmt.Errorf("%w: %v: %d of %d", ErrMoveBehind, v.source.tp, v.future.EndOffset(), v.source.EndOffset())
	}
	if err := v.settle(); err != nil {
		return nil, err
	}
	if err := v.exchange(); err != nil {
		return nil, err
	}
	return v.future, errors.Join(v.clear(), v.to.checkpoint())
}

// settle makes the copy durable and equal to the source in all that no batch
// tells, and stores the offsets that it will be opened with.
func (v *Move) settle() error {
	if err := v.source.usable(); err != nil {
		return err
	}
	if err := v.future.AdvanceStart(v.source.StartOffset()); err != nil {
		return err
	}
	v.future.mu.Lock()
	err := v.future.writeEpochs(v.source.epochs.History())
	v.future.mu.Unlock()
	if err == nil {
		err = v.future.syncAll()
	}
	if err != nil {
		return err
	}
	if err := v.future.SetTopicID(v.source.TopicID()); err != nil {
		return err
	}
	v.future.Configure(v.source.Config())
	v.to.wantFlush(v.source.Config())
	v.to.add(v.future)
	if err = v.to.checkpoint(); err != nil {
		v.to.remove(v.future)
	}
	return err
}

// exchange gives the copy the log's name: the source is marked first, so that
// one of the two counts after a crash at any point.
func (v *Move) exchange() error {
	m, tp, fsys := v.m, v.source.tp, v.m.cfg.FS
	if err := vfs.ReplaceFile(fsys, v.source.dir.name(movedFile), []byte(v.to.path)); err != nil {
		v.to.remove(v.future)
		return v.source.health.FailUnlessFull("mark moved log", err)
	}
	v.over = true
	err := v.future.rename(filepath.Join(v.to.path, tp.String()))
	m.mu.Lock()
	delete(m.moves, tp)
	if err == nil {
		m.logs[tp] = v.future
	}
	m.mu.Unlock()
	if err != nil {
		// Which folder counts is up to the next opening; until then neither
		// may take records that the other lacks.
		return errors.Join(fmt.Errorf("%w: %w", ErrMoveTorn, err), v.source.release())
	}
	return nil
}

// clear takes away the log whose place has been taken.
func (v *Move) clear() error {
	from := v.m.dirOf(v.source)
	from.remove(v.source)
	if err := v.source.release(); err != nil {
		return v.source.health.Fail("close log", err)
	}
	if err := v.source.health.Err(); err != nil {
		return err // the next opening finds the mark
	}
	if err := from.discard(v.source); err != nil {
		return err
	}
	return from.checkpoint()
}

// rename gives the log's folder another name in the same directory, durably.
// Nobody may read the log meanwhile.
func (l *Log) rename(path string) error {
	l.filesMu.Lock()
	defer l.filesMu.Unlock()
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.dir.fs.Rename(*l.dir.path.Load(), path)
	if err == nil {
		l.dir.path.Store(&path)
		err = l.dir.fs.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return l.health.Fail("rename folder", err)
	}
	return nil
}

// discard renames the folder of a closed log and removes it after
// file.delete.delay.ms.
func (d *logDir) discard(l *Log) error {
	gone := filepath.Join(d.path, folderWith(l.tp, deleteFolderSuffix))
	if err := d.m.cfg.FS.Rename(l.Path(), gone); err != nil {
		return l.health.Fail("delete log", err)
	}
	l.dir.path.Store(&gone)
	if err := d.m.cfg.FS.SyncDir(d.path); err != nil {
		return l.health.Fail("delete log", err)
	}
	d.removeLater([]string{gone}, l.Config().FileDeleteDelayMs)
	return nil
}

// Cancel drops the copy. It does nothing after Commit.
func (v *Move) Cancel() error {
	mu := v.m.creation(v.source.tp)
	mu.Lock()
	defer mu.Unlock()
	return v.cancel()
}

// cancel does Cancel for whoever holds the partition's creation mutex.
func (v *Move) cancel() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return nil
	}
	v.over = true
	v.m.mu.Lock()
	delete(v.m.moves, v.source.tp)
	v.m.mu.Unlock()
	if err := v.future.release(); err != nil || v.to.health.Err() != nil {
		return err
	}
	return v.to.discard(v.future)
}

// suspend closes the files of the copy and leaves its folder, which tells the
// next manager about the move.
func (v *Move) suspend() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over = true
	return v.future.release()
}

// stale tells whether the log in a folder has been moved elsewhere and only its
// removal is missing. The mark of a move that did not happen is removed.
func (d *logDir) stale(folder string) (bool, error) {
	fsys := d.m.cfg.FS
	mark := filepath.Join(d.path, folder, movedFile)
	to, err := vfs.ReadFile(fsys, mark, maxMoved)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if other := d.m.dirAt(string(to)); other != nil && other != d {
		if _, err := fsys.Stat(filepath.Join(other.path, folder)); err == nil {
			return true, nil
		}
	}
	return false, fsys.Remove(mark)
}

// dropInterrupted notes a move that was under way and has its folder removed.
func (d *logDir) dropInterrupted(folder string) {
	d.removeLater([]string{filepath.Join(d.path, folder)}, 0)
	name := strings.TrimSuffix(folder, futureFolderSuffix)
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		if tp, ok := format.ParseFolder(name[:i]); ok {
			d.interrupted = append(d.interrupted, tp)
		}
	}
}
