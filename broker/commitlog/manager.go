package commitlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/logfile"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// ManagerConfig configures a Manager. Only Dirs is required.
type ManagerConfig struct {
	Dirs      []string // log directories; created when missing
	FS        vfs.FS   // default vfs.OS{}
	BrokerID  int32
	ClusterID string

	Defaults Config // for topics that TopicConfig does not know; zero: DefaultConfig
	// TopicConfig gives a topic's configuration while logs are opened; nil
	// means Defaults.
	TopicConfig func(topic string) Config

	FileLimit            int           // files that the process may open, 0: unknown; the logs keep half of them open at most
	RecoveryThreads      int           // per directory, default 1
	CheckpointInterval   time.Duration // recovery points and start offsets, default 60 s
	RetentionInterval    time.Duration // default 5 min
	ProducerIDExpiration time.Duration // default 24 h
	// ReserveBytes is how much of its volume each directory holds back for what
	// must go on when the volume is full; see volume.DefaultReserve. 0: nothing.
	ReserveBytes int64

	// Retain deletes what a log need not keep and tells how many segments went;
	// nil keeps everything. It runs on the directory's worker.
	Retain func(l *Log, now time.Time) (segments int, err error)
	// Progress is told about logs being opened, from several goroutines.
	Progress func(Progress)
	// DirFailed is called by Run, once per directory that goes off line.
	DirFailed func(dir string, err error)
}

func (c *ManagerConfig) setDefaults() error {
	if len(c.Dirs) == 0 {
		return errors.New("commitlog: no log directory")
	}
	if c.FS == nil {
		c.FS = vfs.OS{}
	}
	if c.Defaults == (Config{}) {
		c.Defaults = DefaultConfig()
	}
	if c.TopicConfig == nil {
		c.TopicConfig = func(string) Config { return c.Defaults }
	}
	if c.CheckpointInterval <= 0 {
		c.CheckpointInterval = time.Minute
	}
	if c.RetentionInterval <= 0 {
		c.RetentionInterval = 5 * time.Minute
	}
	if c.ProducerIDExpiration <= 0 {
		c.ProducerIDExpiration = 24 * time.Hour
	}
	c.RecoveryThreads = max(1, c.RecoveryThreads)
	return nil
}

// Progress is a step of opening: one more log of a directory is ready.
type Progress struct {
	Dir       string
	Partition record.TopicPartition
	Done      int // logs opened in this directory
	Total     int
	Recovered bool // the log was not closed cleanly
}

// DirInfo describes one log directory.
type DirInfo struct {
	Path  string
	Err   error // why it is off line; nil: on line
	Usage vfs.Usage
	Logs  []*Log
	// Futures are copies of logs that are to move here.
	Futures []*Log
}

// Manager owns the logs in all log directories. All methods may be called
// concurrently.
type Manager struct {
	cfg      ManagerConfig
	logger   *slog.Logger
	dirs     []*logDir
	failures chan dirError // room for every directory
	damage   damageCount
	open     *logfile.Limit

	createMu [128]sync.Mutex // by partition: one creation or deletion of it at a time
	mu       sync.RWMutex
	logs     map[record.TopicPartition]*Log // those of failed directories too
	moves    map[record.TopicPartition]*Move
	wishes   map[record.TopicPartition]*logDir // where logs that do not exist yet are to lie

	copies sync.Pool // *[]byte: what moves read
}

type dirError struct {
	dir string
	err error
}

// OpenManager locks the directories and opens every log in them, recovering
// those that were not closed cleanly. A directory that fails is off line; it is
// an error only if none is left. Close must follow, Run should.
func OpenManager(ctx context.Context, cfg ManagerConfig, logger *slog.Logger, reg prometheus.Registerer) (*Manager, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	m := &Manager{
		cfg: cfg, logger: logger, logs: map[record.TopicPartition]*Log{}, moves: map[record.TopicPartition]*Move{},
		wishes:   map[record.TopicPartition]*logDir{},
		failures: make(chan dirError, len(cfg.Dirs)), open: logfile.NewLimit(cfg.FileLimit),
	}
	for _, path := range cfg.Dirs {
		m.dirs = append(m.dirs, newLogDir(m, path))
	}
	var group errgroup.Group
	for _, d := range m.dirs {
		group.Go(func() error {
			if err := d.open(ctx); err != nil {
				return d.health.Fail("open", err)
			}
			return nil
		})
	}
	err := group.Wait()
	if cerr := ctx.Err(); cerr != nil {
		return nil, errors.Join(cerr, m.abandon())
	}
	if m.online() == 0 {
		return nil, errors.Join(fmt.Errorf("commitlog: no log directory is usable: %w", err), m.abandon())
	}
	if reg != nil {
		if err := reg.Register(&collector{m}); err != nil {
			return nil, errors.Join(err, m.abandon())
		}
	}
	return m, nil
}

func (m *Manager) online() int {
	n := 0
	for _, d := range m.dirs {
		if d.health.Err() == nil {
			n++
		}
	}
	return n
}

// abandon closes files and locks without writing anything.
func (m *Manager) abandon() error {
	var errs []error
	for _, l := range m.Logs() {
		errs = append(errs, l.release())
	}
	for _, d := range m.dirs {
		errs = append(errs, d.unlock())
	}
	return errors.Join(errs...)
}

// Log finds an open log.
func (m *Manager) Log(tp record.TopicPartition) (*Log, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	l, ok := m.logs[tp]
	return l, ok
}

// Logs lists the open logs in no particular order.
func (m *Manager) Logs() []*Log {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]*Log, 0, len(m.logs))
	for _, l := range m.logs {
		out = append(out, l)
	}
	return out
}

// GetOrCreate finds a log or creates it in the directory with the fewest
// partitions, durably. A zero topicID is not recorded. A log known to lie on a
// directory that failed is not created elsewhere: ErrStorage.
func (m *Manager) GetOrCreate(tp record.TopicPartition, topicID [16]byte, c Config) (*Log, error) {
	l, err := m.make(tp, topicID, c)
	if err == nil {
		err = m.dirOf(l).keep(l)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Prepare does the part of GetOrCreate that does not wait for the disk. Of many
// logs that were prepared the first GetOrCreate makes all durable.
func (m *Manager) Prepare(tp record.TopicPartition, topicID [16]byte, c Config) error {
	_, err := m.make(tp, topicID, c)
	return err
}

func (m *Manager) make(tp record.TopicPartition, topicID [16]byte, c Config) (*Log, error) {
	mu := m.creation(tp)
	mu.Lock()
	defer mu.Unlock()
	if l, ok := m.Log(tp); ok {
		if err := l.health.Err(); err != nil {
			return nil, err
		}
		if topicID == [16]byte{} {
			return l, nil
		}
		err := l.SetTopicID(topicID)
		if l.incomplete() {
			m.dirOf(l).finishSoon(l)
		}
		return l, err
	}
	if err := checkPartition(tp); err != nil {
		return nil, err
	}
	d := m.place(tp)
	if d == nil {
		return nil, fmt.Errorf("%w: every log directory is off line", ErrStorage)
	}
	d.creating.Add(1)
	l, err := d.create(tp, topicID, c)
	d.creating.Add(-1)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.logs[tp] = l
	delete(m.wishes, tp)
	m.mu.Unlock()
	d.wantFlush(c)
	return l, nil
}

// creation is the mutex that keeps creations and deletions of a partition apart.
// Those of others may go on meanwhile: most of their time is the disk's.
func (m *Manager) creation(tp record.TopicPartition) *sync.Mutex {
	h := uint32(tp.Partition)
	for i := range len(tp.Topic) {
		h = h*31 + uint32(tp.Topic[i])
	}
	return &m.createMu[h%uint32(len(m.createMu))]
}

// checkPartition keeps names out of which no folder can be made.
func checkPartition(tp record.TopicPartition) error {
	if tp.Topic == "" || tp.Topic == "." || tp.Topic == ".." || len(tp.Topic) > 249 ||
		strings.ContainsAny(tp.Topic, "/\\\x00") || tp.Partition < 0 {
		return fmt.Errorf("commitlog: %q is no partition", tp.String())
	}
	return nil
}

// Delete takes a log out of service at once and removes its files after
// file.delete.delay.ms.
func (m *Manager) Delete(tp record.TopicPartition) error {
	mu := m.creation(tp)
	mu.Lock()
	defer mu.Unlock()
	if v := m.move(tp); v != nil {
		if err := v.cancel(); err != nil {
			return err
		}
	}
	m.mu.Lock()
	l, ok := m.logs[tp]
	delete(m.logs, tp)
	delete(m.wishes, tp)
	m.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: %v", ErrUnknownLog, tp)
	}
	d := m.dirOf(l)
	d.remove(l)
	if err := l.release(); err != nil {
		return l.health.Fail("close log", err)
	}
	if err := l.health.Err(); err != nil {
		return err
	}
	if err := d.discard(l); err != nil {
		return err
	}
	return d.checkpoint()
}

func (m *Manager) dirOf(l *Log) *logDir {
	for _, d := range m.dirs {
		if d.health == l.health {
			return d
		}
	}
	panic("commitlog: log without a directory")
}

// Configure applies a configuration to all logs of a topic.
func (m *Manager) Configure(topic string, c Config) {
	for _, l := range m.Logs() {
		if l.tp.Topic == topic {
			l.Configure(c)
			m.dirOf(l).wantFlush(c)
		}
	}
}

// ReadHighWatermarks gives the checkpointed high watermarks of all usable
// directories.
func (m *Manager) ReadHighWatermarks() (map[record.TopicPartition]int64, error) {
	out := map[record.TopicPartition]int64{}
	for _, d := range m.dirs {
		if d.health.Err() != nil {
			continue
		}
		found, err := format.ReadOffsets(m.cfg.FS, filepath.Join(d.path, format.HighWatermarkFile))
		if errors.Is(err, format.ErrCorruptFile) {
			m.logger.Warn("high watermarks are unreadable and begin at the log starts", "dir", d.path, "err", err)
			continue
		}
		if err != nil {
			return nil, d.health.Fail("read high watermarks", err)
		}
		for tp, offset := range found {
			out[tp] = offset
		}
	}
	return out, nil
}

// WriteHighWatermarks stores high watermarks, each in the directory of its log;
// partitions without a log are left out. Unchanged files are not rewritten.
func (m *Manager) WriteHighWatermarks(hw map[record.TopicPartition]int64) error {
	var errs []error
	for _, d := range m.dirs {
		if d.health.Err() != nil {
			continue
		}
		mine := format.Offsets{}
		for _, l := range d.list() {
			if offset, ok := hw[l.tp]; ok {
				mine[l.tp] = offset
			}
		}
		errs = append(errs, d.writeCheckpoint(format.HighWatermarkFile, mine))
	}
	return errors.Join(errs...)
}

// Checkpoint stores recovery points and log start offsets now.
func (m *Manager) Checkpoint() error {
	var errs []error
	for _, d := range m.dirs {
		if d.health.Err() == nil {
			errs = append(errs, d.checkpoint())
		}
	}
	return errors.Join(errs...)
}

// Dirs describes the log directories in configured order.
func (m *Manager) Dirs() []DirInfo {
	out := make([]DirInfo, len(m.dirs))
	for i, d := range m.dirs {
		out[i] = DirInfo{Path: d.path, Err: d.health.Err(), Logs: d.list(), Futures: m.futures(d)}
		if out[i].Err == nil {
			out[i].Usage, _ = m.cfg.FS.Usage(d.path) // a description, not a decision
		}
	}
	return out
}

// PreviousBrokerEpoch is the broker epoch found in the clean-shutdown marks, -1
// when a directory had none.
func (m *Manager) PreviousBrokerEpoch() int64 {
	epoch := int64(-1)
	for i, d := range m.dirs {
		if d.brokerEpoch < 0 || i > 0 && d.brokerEpoch != epoch {
			return -1
		}
		epoch = d.brokerEpoch
	}
	return epoch
}

// Close syncs and closes all logs, writes the checkpoints and the clean-shutdown
// mark with the broker's epoch (-1: none), and gives up the locks. Run must have ended.
func (m *Manager) Close(brokerEpoch int64) error {
	var group errgroup.Group
	m.mu.RLock()
	moves := slices.Collect(maps.Values(m.moves))
	m.mu.RUnlock()
	for _, v := range moves {
		group.Go(v.suspend)
	}
	for _, d := range m.dirs {
		group.Go(func() error { return d.close(brokerEpoch) })
	}
	return group.Wait()
}

// closer is what FS.Lock gives.
type closer = io.Closer
