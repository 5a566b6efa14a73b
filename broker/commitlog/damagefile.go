package commitlog

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// damageFile remembers where a log directory has damage, in the form of the
// checkpoints, one "topic partition segment position" per line. Opening looks at
// those places again before anything is read from them; what is intact by then,
// because another program has replaced it, is forgotten. Kafka leaves the file alone.
const damageFile = ".leat-damage"

// damagePlace is a line of the file.
type damagePlace struct {
	tp           record.TopicPartition
	segment, pos int64
}

func encodeDamage(places []damagePlace) []byte {
	lines := make([]string, len(places))
	for i, p := range places {
		lines[i] = fmt.Sprintf("%s %d %d %d", p.tp.Topic, p.tp.Partition, p.segment, p.pos)
	}
	slices.Sort(lines)
	return joinCheckpoint(lines)
}

func decodeDamage(data []byte) ([]damagePlace, error) {
	lines, err := splitCheckpoint(data)
	if err != nil {
		return nil, err
	}
	out := make([]damagePlace, len(lines))
	for i, line := range lines {
		f := strings.Fields(line)
		if len(f) != 4 {
			return nil, fmt.Errorf("%w: line %.80q", ErrCorruptFile, line)
		}
		partition, err1 := strconv.ParseInt(f[1], 10, 32)
		segment, err2 := strconv.ParseInt(f[2], 10, 64)
		pos, err3 := strconv.ParseInt(f[3], 10, 64)
		if err := errors.Join(err1, err2, err3); err != nil || partition < 0 || segment < 0 || pos < 0 {
			return nil, fmt.Errorf("%w: line %.80q", ErrCorruptFile, line)
		}
		out[i] = damagePlace{record.TopicPartition{Topic: f[0], Partition: int32(partition)}, segment, pos}
	}
	return out, nil
}

// readDamage looks again at what was damaged when the directory was last open.
func (d *logDir) readDamage() {
	data, err := vfs.ReadFile(d.m.cfg.FS, filepath.Join(d.path, damageFile), maxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	d.wasDamaged = true
	var places []damagePlace
	if err == nil {
		places, err = decodeDamage(data)
	}
	if err != nil {
		d.m.logger.Warn("list of damage is unreadable; the scrubber will find it again", "dir", d.path, "err", err)
		return
	}
	logs := map[record.TopicPartition]*Log{}
	for _, l := range d.list() {
		logs[l.tp] = l
	}
	for _, p := range places {
		if l := logs[p.tp]; l != nil {
			l.recheck(p.segment, p.pos)
		}
	}
}

// writeDamage stores where damage is. Without any there is no such file.
func (d *logDir) writeDamage() error {
	var places []damagePlace
	for _, l := range d.list() {
		for _, x := range l.Damage() {
			places = append(places, damagePlace{l.tp, x.Segment, x.Position})
		}
	}
	d.checkpointMu.Lock()
	_, written := d.written[damageFile]
	d.checkpointMu.Unlock()
	if len(places) == 0 && !written && !d.wasDamaged {
		return nil
	}
	return d.writeFile(damageFile, encodeDamage(places))
}

// damaged counts what was found and stores where it is.
func (d *logDir) damaged(l *Log, finder string) {
	if finder != "" {
		d.m.damage.count(finder)
	}
	if !d.opened.Load() {
		return // opening ends with a checkpoint
	}
	if err := d.writeDamage(); err != nil {
		d.m.logger.Warn("cannot store where damage is", "dir", d.path, "err", err)
	}
}
