package commitlog

import (
	"fmt"

	"github.com/leatstream/leat/broker/record"
)

// maxWishes bounds how many places of logs to come are remembered.
const maxWishes = 1 << 16

// Wish asks that a log which does not exist yet be created in a directory. It is
// remembered until the log is created or this process ends.
func (m *Manager) Wish(tp record.TopicPartition, dir string) error {
	d := m.dirAt(dir)
	if d == nil {
		return fmt.Errorf("%w: %s", ErrUnknownDir, dir)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, exists := m.logs[tp]
	if _, again := m.wishes[tp]; !exists && (again || len(m.wishes) < maxWishes) {
		m.wishes[tp] = d
	}
	return nil
}

// CheckDir tells whether logs may be put into a directory: ErrUnknownDir,
// ErrStorage or nil.
func (m *Manager) CheckDir(dir string) error {
	d := m.dirAt(dir)
	if d == nil {
		return fmt.Errorf("%w: %s", ErrUnknownDir, dir)
	}
	return d.health.Err()
}

// Complete tells whether every directory is on line, so that a log that is not
// found exists nowhere.
func (m *Manager) Complete() bool { return m.online() == len(m.dirs) }

// place is the usable directory for a new log, nil if there is none: the one
// wished for, or else the one with the fewest partitions, copies that move
// there and logs that are being created included.
func (m *Manager) place(tp record.TopicPartition) *logDir {
	coming := map[*logDir]int{}
	m.mu.RLock()
	wish := m.wishes[tp]
	for _, v := range m.moves {
		coming[v.to]++
	}
	m.mu.RUnlock()
	if wish != nil && wish.health.Err() == nil {
		return wish
	}
	var best *logDir
	fewest := 0
	for _, d := range m.dirs {
		if d.health.Err() != nil {
			continue
		}
		if n := d.count() + coming[d] + int(d.creating.Load()); best == nil || n < fewest {
			best, fewest = d, n
		}
	}
	return best
}
