package commitlog

import (
	"context"
	"log/slog"
	"time"

	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// ManagerConfig configures a Manager. Only Dirs is required.
type ManagerConfig struct {
	Dirs      []string // log directories; created when missing
	FS        vfs.FS   // default vfs.OS{}
	BrokerID  int32
	ClusterID string

	Defaults Config // for topics that TopicConfig does not know
	// TopicConfig gives a topic's configuration while logs are opened; nil
	// means Defaults.
	TopicConfig func(topic string) Config

	RecoveryThreads      int           // per directory, default 1
	CheckpointInterval   time.Duration // recovery points and start offsets, default 60 s
	RetentionInterval    time.Duration // default 5 min
	ProducerIDExpiration time.Duration // default 24 h

	// Retain deletes what a log need not keep and tells how many segments went;
	// nil keeps everything. It runs on the directory's worker.
	Retain func(l *Log, now time.Time) (segments int, err error)
	// Progress is told about logs being opened, from several goroutines.
	Progress func(Progress)
	// DirFailed is called once per directory that goes off line.
	DirFailed func(dir string, err error)
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
}

// Manager owns the logs in all log directories.
type Manager struct{}

// OpenManager locks the directories and opens every log in them, recovering
// those that were not closed cleanly. A directory that fails is off line; it is
// an error only if none is left. Close must follow, Run should.
func OpenManager(ctx context.Context, cfg ManagerConfig, logger *slog.Logger, reg prometheus.Registerer) (*Manager, error) {
	return &Manager{}, nil
}

// Run flushes, checkpoints, retains and deletes until ctx ends.
func (m *Manager) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// Close syncs and closes all logs, writes the checkpoints and the clean-shutdown
// mark with the broker's epoch (-1: none), and gives up the locks. Run must have ended.
func (m *Manager) Close(brokerEpoch int64) error { return nil }

// Log finds an open log.
func (m *Manager) Log(tp record.TopicPartition) (*Log, bool) { return nil, false }

// Logs lists the open logs in no particular order.
func (m *Manager) Logs() []*Log { return nil }

// GetOrCreate finds a log or creates it in the directory with the fewest
// partitions. A zero topicID is not recorded. A log on an off-line directory is
// not created elsewhere: ErrStorage.
func (m *Manager) GetOrCreate(tp record.TopicPartition, topicID [16]byte, c Config) (*Log, error) {
	return nil, ErrClosed
}

// Delete takes a log out of service at once and removes its files after
// file.delete.delay.ms.
func (m *Manager) Delete(tp record.TopicPartition) error { return ErrUnknownLog }

// Configure applies a configuration to all logs of a topic.
func (m *Manager) Configure(topic string, c Config) {}

// ReadHighWatermarks gives the checkpointed high watermarks of all directories.
func (m *Manager) ReadHighWatermarks() (map[record.TopicPartition]int64, error) { return nil, nil }

// WriteHighWatermarks stores high watermarks, each in the directory of its log;
// partitions without a log are left out.
func (m *Manager) WriteHighWatermarks(hw map[record.TopicPartition]int64) error { return nil }

// Checkpoint stores recovery points and log start offsets now.
func (m *Manager) Checkpoint() error { return nil }

// Dirs describes the log directories in configured order.
func (m *Manager) Dirs() []DirInfo { return nil }

// PreviousBrokerEpoch is the broker epoch found in the clean-shutdown marks, -1
// when a directory had none.
func (m *Manager) PreviousBrokerEpoch() int64 { return -1 }
