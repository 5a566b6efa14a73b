package replica

import (
	"slices"

	"github.com/leatstream/leat/broker/record"
)

// LogDirInfo describes one log directory.
type LogDirInfo struct {
	Path string
	// Err is set when the directory is offline.
	Err error
	// TotalBytes and UsableBytes are of the volume, -1 when unknown.
	TotalBytes, UsableBytes int64
	Partitions              []LogDirPartition
}

// LogDirPartition is one log in a directory.
type LogDirPartition struct {
	TP   record.TopicPartition
	Size int64
	// OffsetLag is how far the log is behind the high watermark, a future one
	// behind the log that it is a copy of.
	OffsetLag int64
	Future    bool
}

// DescribeLogDirs lists the log directories and the logs in each.
func (m *Manager) DescribeLogDirs() []LogDirInfo {
	dirs := m.logs.Dirs()
	out := make([]LogDirInfo, 0, len(dirs))
	for _, d := range dirs {
		info := LogDirInfo{Path: d.Path, Err: d.Err, TotalBytes: -1, UsableBytes: -1}
		if d.Err == nil {
			info.TotalBytes, info.UsableBytes = int64(d.Usage.Total), int64(d.Usage.Free)
		}
		for _, l := range d.Logs {
			p := LogDirPartition{TP: l.Partition(), Size: l.Size()}
			if hw, ok := m.HighWatermark(p.TP); ok {
				p.OffsetLag = max(hw-l.EndOffset(), 0)
			}
			info.Partitions = append(info.Partitions, p)
		}
		for _, l := range d.Futures {
			p := LogDirPartition{TP: l.Partition(), Size: l.Size(), Future: true}
			if current, ok := m.logs.Log(p.TP); ok {
				p.OffsetLag = max(current.EndOffset()-l.EndOffset(), 0)
			}
			info.Partitions = append(info.Partitions, p)
		}
		out = append(out, info)
	}
	return out
}

// Partition describes one hosted partition.
func (m *Manager) Partition(tp record.TopicPartition) (PartitionInfo, bool) {
	r, err := m.find(tp, TopicID{})
	if err != nil {
		return PartitionInfo{}, false
	}
	return r.info(), true
}

// Partitions calls yield for each hosted partition, in no order, until it
// returns false.
func (m *Manager) Partitions(yield func(PartitionInfo) bool) {
	more := true
	m.each(func(r *Replica) {
		if more {
			more = yield(r.info())
		}
	})
}

func (r *Replica) info() PartitionInfo {
	v, l := r.view.Load(), r.log()
	return PartitionInfo{
		TP: r.tp, TopicID: v.topicID, Leader: v.leader, LeaderEpoch: v.leaderEpoch,
		PartitionEpoch: v.partitionEpoch, IsLeader: v.role == RoleLeader,
		ISR: slices.Clone(v.isr), Replicas: slices.Clone(v.replicas), MinISR: r.cfg.Load().MinISR,
		LogStartOffset: l.StartOffset(), HighWatermark: r.hw.Load(), LogEndOffset: l.EndOffset(),
		Size: l.Size(), LogDir: l.Dir(), Offline: v.offline,
	}
}

// HighWatermark returns the partition's high watermark.
func (m *Manager) HighWatermark(tp record.TopicPartition) (int64, bool) {
	r, err := m.find(tp, TopicID{})
	if err != nil {
		return 0, false
	}
	return r.hw.Load(), true
}

// LogStart returns the partition's log start offset.
func (m *Manager) LogStart(tp record.TopicPartition) (int64, bool) {
	r, err := m.find(tp, TopicID{})
	if err != nil {
		return 0, false
	}
	return r.log().StartOffset(), true
}
