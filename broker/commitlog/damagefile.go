package commitlog

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// readDamage looks again at what was damaged when the directory was last open.
func (d *logDir) readDamage() {
	data, err := vfs.ReadFile(d.m.cfg.FS, filepath.Join(d.path, format.DamageFile), format.MaxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	d.wasDamaged = true
	var places []format.DamagePlace
	if err == nil {
		places, err = format.DecodeDamage(data)
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
		if l := logs[p.TopicPartition]; l != nil {
			l.recheck(p.Segment, p.Position)
		}
	}
}

// writeDamage stores where damage is. Without any there is no such file.
func (d *logDir) writeDamage() error {
	var places []format.DamagePlace
	for _, l := range d.list() {
		for _, x := range l.Damage() {
			places = append(places, format.DamagePlace{TopicPartition: l.tp, Segment: x.Segment, Position: x.Position})
		}
	}
	d.checkpointMu.Lock()
	_, written := d.written[format.DamageFile]
	d.checkpointMu.Unlock()
	if len(places) == 0 && !written && !d.wasDamaged {
		return nil
	}
	return d.writeFile(format.DamageFile, format.EncodeDamage(places))
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
