package commitlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/volume"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
	"golang.org/x/sync/errgroup"
)

// logDir is one log directory: its lock, its checkpoints, its logs, and the
// work that its worker has to do.
type logDir struct {
	m           *Manager
	path        string
	health      *volume.Health
	lock        closer
	brokerEpoch int64 // from the clean-shutdown mark, -1: none
	opened      atomic.Bool
	interrupted []record.TopicPartition // moves to here that were under way

	mu     sync.Mutex
	logs   map[*Log]struct{}
	filled map[*Log]struct{} // those of them that may hold records or producers

	checkpointMu sync.Mutex
	written      map[string][]byte // contents of the checkpoint files
	wasCleaned   bool              // there were offsets of compacted logs on opening
	wasDamaged   bool              // there was a list of damage on opening

	work work

	creating atomic.Int32 // logs that are being created
	entries  sharedSync   // folders of logs
}

func newLogDir(m *Manager, path string) *logDir {
	d := &logDir{m: m, path: path, brokerEpoch: -1, logs: map[*Log]struct{}{}, filled: map[*Log]struct{}{}, written: map[string][]byte{}}
	d.health = volume.NewHealth(path, func(dir string, err error) {
		m.logger.Error("log directory is off line", "dir", dir, "err", err)
		m.failures <- dirError{dir, err} // has room for one per directory
	})
	d.work.init()
	return d
}

// list gives the logs of the directory.
func (d *logDir) list() []*Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]*Log, 0, len(d.logs))
	for l := range d.logs {
		out = append(out, l)
	}
	return out
}

// count is how many logs the directory has.
func (d *logDir) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.logs)
}

func (d *logDir) add(l *Log) {
	idle := l.idle()
	d.mu.Lock()
	d.logs[l] = struct{}{}
	if !idle {
		d.filled[l] = struct{}{}
	}
	d.mu.Unlock()
}

// fill notes that a log holds records. It does so for a copy that is not in its
// place yet too, and for a log that is being deleted: retain looks again.
func (d *logDir) fill(l *Log) {
	d.mu.Lock()
	d.filled[l] = struct{}{}
	d.mu.Unlock()
}

// withRecords gives the logs for which time may have something to do, and
// forgets of them those that have become empty.
func (d *logDir) withRecords() []*Log {
	d.mu.Lock()
	out := make([]*Log, 0, len(d.filled))
	for l := range d.filled {
		if _, ok := d.logs[l]; ok {
			out = append(out, l)
		} else if l.closed.Load() {
			delete(d.filled, l)
		}
	}
	d.mu.Unlock()
	return slices.DeleteFunc(out, d.drained)
}

// drained takes a log out of filled if it is idle.
func (d *logDir) drained(l *Log) bool {
	if !l.idle() {
		return false
	}
	d.mu.Lock()
	delete(d.filled, l)
	d.mu.Unlock()
	if l.idle() {
		return true
	}
	d.fill(l) // its first record came in between
	return false
}

func (d *logDir) remove(l *Log) {
	d.mu.Lock()
	delete(d.logs, l)
	delete(d.filled, l)
	d.mu.Unlock()
}

// open locks the directory, checks whose it is and opens all logs in it.
func (d *logDir) open(ctx context.Context) error {
	fsys := d.m.cfg.FS
	if err := d.make(); err != nil {
		return err
	}
	var err error
	if d.lock, err = fsys.Lock(filepath.Join(d.path, format.LockFile)); err != nil {
		return err
	}
	d.health.Reserve = volume.NewReserve(fsys, d.path, d.m.cfg.ReserveBytes, d.m.logger, d.makeRoom)
	d.health.Reserve.Open()
	if err := d.checkMeta(); err != nil {
		return err
	}
	recovery, err := d.readCheckpoint(format.RecoveryPointFile)
	if err != nil {
		return err
	}
	starts, err := d.readCheckpoint(format.LogStartFile)
	if err != nil {
		return err
	}
	cleaned, err := d.readCheckpoint(format.CleanerOffsetFile)
	if err != nil {
		return err
	}
	d.wasCleaned = len(cleaned) > 0
	clean, epoch, err := format.TakeCleanShutdown(fsys, d.path)
	if err != nil {
		return err
	}
	d.brokerEpoch = epoch
	if err := d.openLogs(ctx, clean, recovery, starts, cleaned); err != nil {
		return err
	}
	d.readDamage()
	d.opened.Store(true)
	err = d.checkpoint()
	if err != nil && volume.IsFull(err) {
		// Others have taken the reserve too. What is stored holds as long as no
		// records are taken, and the logs must be open for retention to make room.
		d.m.logger.Error("no space for checkpoints", "dir", d.path, "err", err)
		d.work.checkpoint.Store(true)
		return nil
	}
	return err
}

// make creates the directory, durably, unless it is there.
func (d *logDir) make() error {
	fsys := d.m.cfg.FS
	if _, err := fsys.Stat(d.path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := fsys.MkdirAll(d.path, 0o755); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(d.path))
}

// checkMeta compares meta.properties with this broker, writing it when missing.
func (d *logDir) checkMeta() error {
	fsys, cfg := d.m.cfg.FS, &d.m.cfg
	have, found, err := format.ReadMetaProperties(fsys, d.path)
	if err != nil {
		return err
	}
	if found && have.ClusterID != "" && cfg.ClusterID != "" && have.ClusterID != cfg.ClusterID {
		return fmt.Errorf("meta.properties belongs to cluster %q, not %q", have.ClusterID, cfg.ClusterID)
	}
	if found && have.BrokerID >= 0 && have.BrokerID != cfg.BrokerID {
		return fmt.Errorf("meta.properties belongs to broker %d, not %d", have.BrokerID, cfg.BrokerID)
	}
	want := format.MetaProperties{BrokerID: cfg.BrokerID, ClusterID: cfg.ClusterID, DirectoryID: have.DirectoryID}
	if want.ClusterID == "" {
		want.ClusterID = have.ClusterID
	}
	if found && have == want {
		return nil
	}
	return d.health.ReplaceFile(fsys, filepath.Join(d.path, format.MetaPropertiesFile), want.Encode(time.Now()))
}

// readCheckpoint reads one checkpoint; a damaged one counts as empty, which
// costs time, not data.
func (d *logDir) readCheckpoint(file string) (format.Offsets, error) {
	o, err := format.ReadOffsets(d.m.cfg.FS, filepath.Join(d.path, file))
	if errors.Is(err, format.ErrCorruptFile) {
		d.m.logger.Warn("checkpoint is unreadable", "dir", d.path, "file", file, "err", err)
		return format.Offsets{}, nil
	}
	return o, err
}

// openLogs opens the logs of the directory, a few at a time.
func (d *logDir) openLogs(ctx context.Context, clean bool, recovery, starts, cleaned format.Offsets) error {
	found, err := d.findLogs()
	if err != nil {
		return err
	}
	progress := newProgress(d.m.logger, d.path, len(found), clean)
	group, ctx := errgroup.WithContext(ctx)
	threads := d.m.cfg.RecoveryThreads
	if clean { // hardly anything is read: what it takes is the processors' time
		threads = max(threads, runtime.GOMAXPROCS(0))
	}
	group.SetLimit(threads)
	for _, tp := range found {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			o := d.options(tp, d.m.cfg.TopicConfig(tp.Topic))
			o.clean, o.recoveryPoint, o.start = clean, recovery[tp], starts[tp]
			if offset, ok := cleaned[tp]; ok {
				o.cleaned = offset
			}
			l, err := openLog(o)
			if err != nil {
				return fmt.Errorf("%v: %w", tp, err)
			}
			if err := d.adopt(l); err != nil {
				return errors.Join(err, l.release())
			}
			done := progress.one()
			if d.m.cfg.Progress != nil {
				d.m.cfg.Progress(Progress{Dir: d.path, Partition: tp, Done: done, Total: len(found), Recovered: !clean})
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	progress.end()
	return nil
}

// adopt registers a log that was found on disk.
func (d *logDir) adopt(l *Log) error {
	d.m.mu.Lock()
	other, twice := d.m.logs[l.tp]
	if !twice {
		d.m.logs[l.tp] = l
	}
	d.m.mu.Unlock()
	if twice {
		return fmt.Errorf("%w: %v is in %s and in %s", ErrLogExists, l.tp, other.Dir(), d.path)
	}
	d.add(l)
	d.wantFlush(l.Config())
	return nil
}

// findLogs lists the partitions in the directory and sends deleted ones to the worker.
func (d *logDir) findLogs() ([]record.TopicPartition, error) {
	entries, err := d.m.cfg.FS.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var out []record.TopicPartition
	for _, e := range entries {
		name := e.Name()
		switch {
		case !e.IsDir():
		case strings.HasSuffix(name, deleteFolderSuffix):
			d.removeLater([]string{filepath.Join(d.path, name)}, 0)
		case strings.HasSuffix(name, futureFolderSuffix):
			d.dropInterrupted(name)
		case strings.HasSuffix(name, "-stray"):
			d.m.logger.Info("leaving a folder alone", "dir", d.path, "folder", name)
		default:
			tp, ok := format.ParseFolder(name)
			if !ok {
				d.m.logger.Warn("folder is no partition and is left alone", "dir", d.path, "folder", name)
				continue
			}
			stale, err := d.stale(name)
			if err != nil {
				return nil, err
			}
			if stale {
				d.m.logger.Info("removing a log that was moved to another directory", "dir", d.path, "partition", tp)
				d.removeLater([]string{filepath.Join(d.path, name)}, 0)
				continue
			}
			out = append(out, tp)
		}
	}
	return out, nil
}

// options are those of a log that holds nothing yet.
func (d *logDir) options(tp record.TopicPartition, c Config) openOptions {
	return openOptions{
		fs: d.m.cfg.FS, path: filepath.Join(d.path, tp.String()), tp: tp, config: c, health: d.health, open: d.m.open,
		logger: d.m.logger, cleaned: notCleaned,
		idleExpiry: d.m.cfg.ProducerIDExpiration.Milliseconds(), now: time.Now(),
		hooks: hooks{remove: d.removeLater, filled: d.fill, written: d.syncSoon, rolled: d.rolled, truncated: d.truncated, advanced: d.advanced, cleaned: func(*Log) error { return d.writeCleaned() }, damaged: d.damaged},
	}
}

// create makes a new log; its folder is there for good once entries has synced
// it, and what the folder holds with the first records.
func (d *logDir) create(tp record.TopicPartition, topicID [16]byte, c Config) (*Log, error) {
	l, err := openLog(d.options(tp, c))
	if err == nil && topicID != [16]byte{} {
		if err = l.SetTopicID(topicID); err != nil {
			err = errors.Join(err, l.release())
		}
	}
	if err != nil {
		return nil, d.health.FailUnlessFull("create log", err)
	}
	l.made = d.entries.made.Add(1)
	d.add(l)
	d.finishSoon(l)
	return l, nil
}

// keep makes the folder of a log durable that create has made.
func (d *logDir) keep(l *Log) error {
	return d.entries.sync(l.made, func() error {
		if err := d.health.Err(); err != nil {
			return err
		}
		if err := d.m.cfg.FS.SyncDir(d.path); err != nil {
			return d.health.FailUnlessFull("create log", err)
		}
		return nil
	})
}

// sharedSync makes numbered changes durable, with one sync for all that were made
// before it began.
type sharedSync struct {
	made   atomic.Int64 // changes so far
	synced atomic.Int64 // changes that are durable

	mu sync.Mutex // held during a sync
}

// sync returns when the change with a number is durable.
func (s *sharedSync) sync(number int64, do func() error) error {
	if s.synced.Load() >= number {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.synced.Load() >= number {
		return nil
	}
	upTo := s.made.Load()
	err := do()
	if err == nil {
		s.synced.Store(upTo)
	}
	return err
}

// truncated stores lowered recovery points and start offsets. While the directory is being opened
// the old checkpoint stays, because the others' points are not known yet.
func (d *logDir) truncated(*Log) error {
	if !d.opened.Load() {
		return nil
	}
	return d.checkpoint()
}

// advanced stores a start offset moved by request, so that deleted records do
// not come back after a crash.
func (d *logDir) advanced(l *Log) error {
	if l.ShortOfSpace() {
		d.makeRoom()
	}
	return d.writeStarts()
}

// checkpoint stores recovery points, start offsets and how far logs were compacted.
func (d *logDir) checkpoint() error {
	return errors.Join(d.writeRecovery(), d.writeStarts(), d.writeCleaned(), d.writeDamage())
}

func (d *logDir) writeRecovery() error {
	o := format.Offsets{}
	for _, l := range d.list() {
		o[l.tp] = l.recoveryPoint()
	}
	return d.writeCheckpoint(format.RecoveryPointFile, o)
}

// writeStarts stores the start offsets that the file names do not tell.
func (d *logDir) writeStarts() error {
	o := format.Offsets{}
	for _, l := range d.list() {
		if start := l.StartOffset(); start > (*l.segments.Load())[0].base {
			o[l.tp] = start
		}
	}
	return d.writeCheckpoint(format.LogStartFile, o)
}

// writeCleaned stores how far logs were compacted. Without compacted logs there
// is no such file.
func (d *logDir) writeCleaned() error {
	o := format.Offsets{}
	for _, l := range d.list() {
		if offset := l.CleanedOffset(); offset != notCleaned {
			o[l.tp] = offset
		}
	}
	d.checkpointMu.Lock()
	_, written := d.written[format.CleanerOffsetFile]
	d.checkpointMu.Unlock()
	if len(o) == 0 && !written && !d.wasCleaned {
		return nil
	}
	return d.writeCheckpoint(format.CleanerOffsetFile, o)
}

// writeCheckpoint replaces a checkpoint file if its contents differ.
func (d *logDir) writeCheckpoint(file string, o format.Offsets) error {
	return d.writeFile(file, o.Encode())
}

// writeFile replaces a file of the directory if its contents differ.
func (d *logDir) writeFile(file string, data []byte) error {
	if err := d.health.Err(); err != nil {
		return err
	}
	d.checkpointMu.Lock()
	defer d.checkpointMu.Unlock()
	if bytes.Equal(d.written[file], data) {
		return nil
	}
	if err := d.health.ReplaceFile(d.m.cfg.FS, filepath.Join(d.path, file), data); err != nil {
		return d.health.FailUnlessFull("write "+file, err)
	}
	d.written[file] = data
	return nil
}

// closeWorkers bounds how many logs of a directory are closed at a time: most of
// it is waiting for syncs, which the disk does together.
const closeWorkers = 16

// close ends the use of the directory in order.
func (d *logDir) close(brokerEpoch int64) error {
	d.health.Reserve.Watch() // closing writes too
	var group errgroup.Group
	group.SetLimit(closeWorkers)
	for _, l := range d.list() {
		group.Go(func() error {
			err := l.Close()
			if err == nil || d.health.Err() != nil {
				return nil
			}
			return d.health.Fail("close log", err)
		})
	}
	errs := []error{group.Wait()}
	if d.health.Err() == nil && d.lock != nil {
		err := d.checkpoint()
		if err == nil {
			err = format.PutCleanShutdown(d.m.cfg.FS, d.path, brokerEpoch)
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, d.unlock())...)
}

func (d *logDir) unlock() error {
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close()
	d.lock = nil
	return err
}

// removePath deletes a file or folder; one that is gone is fine.
func removePath(fsys vfs.FS, name string) error {
	err := fsys.RemoveAll(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
