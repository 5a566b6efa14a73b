package parquet

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/leatstream/leat/connect"
)

// errReset says that the log no longer is the one the files were made from.
var errReset = errors.New("offsets went back")

// partition is one partition's place in the protocol.
//
// Invariants: next ≥ durable; records below durable are in committed files;
// records in [durable, next) are in file; file is nil exactly if there are none.
type partition struct {
	task *task
	tp   connect.TopicPartition
	// next is the offset that the next record must have at least; -1 until
	// the first record of a partition without files.
	next    int64
	durable int64  // offset after the last committed file; -1 if not known yet
	ahead   []span // committed files beyond next, after a gap
	file    *openFile

	rewound     bool // a failure dropped the file; the rest of this Put is not for us
	failures    int  // in a row
	pausedUntil time.Time
	paused      bool
}

// sweep deletes what earlier runs of this connector left half done.
func (p *partition) sweep() error {
	l := p.task.layout
	names, err := p.task.storage.List(l.tempDir())
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasPrefix(n, l.tempPrefix(p.tp)) {
			err = errors.Join(err, p.task.storage.Remove(l.tempDir()+"/"+n))
		}
	}
	return err
}

// resume looks at the file names and asks to go on after them.
func (p *partition) resume() error {
	names, err := p.task.storage.List(p.task.layout.dir(p.tp))
	if err != nil {
		return fmt.Errorf("listing the files of %s-%d: %w", p.tp.Topic, p.tp.Partition, err)
	}
	c := cover(p.tp, names)
	log := p.task.tc.Logger().With("topic", p.tp.Topic, "partition", p.tp.Partition)
	for _, s := range c.overlaps {
		log.Error("a file holds offsets that another one holds too; records may be in both", "start", s.start, "end", s.end)
	}
	for i, s := range c.ahead {
		from := c.next
		if i > 0 {
			from = c.ahead[i-1].end + 1
		}
		log.Warn("files are missing; the gap is filled from the log as far as it goes", "from", from, "to", s.start-1)
	}
	p.ahead = c.ahead
	if c.next >= 0 {
		p.next, p.durable = c.next, c.next
		p.task.tc.RequestOffset(p.tp, c.next)
	} else if p.durable >= 0 {
		// No file yet, but records of this run were dropped: they must come again.
		p.next = p.durable
		p.task.tc.RequestOffset(p.tp, p.durable)
	}
	return nil
}

// add takes one record.
func (p *partition) add(r *connect.Record, now time.Time) error {
	if p.next < 0 {
		p.next, p.durable = r.Offset, r.Offset
	}
	if r.Offset < p.next {
		return fmt.Errorf("parquet: %s-%d: %w: the files go to %d, the log gave %d; it seems that the topic was deleted and made anew: move its files away or use another path",
			p.tp.Topic, p.tp.Partition, errReset, p.next-1, r.Offset)
	}
	if done, err := p.skipAhead(r); done || err != nil {
		return err
	}
	if p.file == nil {
		f, err := p.create(p.next, now)
		if err != nil {
			return err
		}
		p.file = f
	}
	p.next = r.Offset + 1
	if err := p.file.add(r, now); err != nil {
		return err
	}
	return p.rollIfDue(now)
}

// skipAhead handles a record at or after the first committed file beyond a
// gap: the open file ends before it; done if that file holds the record.
func (p *partition) skipAhead(r *connect.Record) (done bool, err error) {
	for len(p.ahead) > 0 && r.Offset >= p.ahead[0].start {
		if err := p.finish(); err != nil {
			return false, err
		}
		end := p.ahead[0].end
		p.next, p.durable = end+1, end+1
		p.ahead = p.ahead[1:]
		if r.Offset <= end {
			p.rewound = true // the seek takes effect after this Put
			p.task.tc.RequestOffset(p.tp, p.next)
			return true, nil
		}
	}
	return false, nil
}

func (p *partition) create(start int64, now time.Time) (*openFile, error) {
	path := p.task.layout.temp(p.tp, uuid.NewString())
	f, err := p.task.storage.Create(path)
	if err != nil {
		return nil, fmt.Errorf("creating %s: %w", path, err)
	}
	return newOpenFile(path, f, start, p.task.schema, p.task.codec, now), nil
}

// rollIfDue finishes the file if it is large or old enough.
func (p *partition) rollIfDue(now time.Time) error {
	f, l := p.file, p.task.limits
	if f == nil {
		return nil
	}
	due := f.rows >= l.rows || f.size() >= l.bytes ||
		l.age >= 0 && now.Sub(f.opened) >= l.age ||
		l.idle >= 0 && now.Sub(f.touched) >= l.idle
	if !due {
		return nil
	}
	return p.finish()
}

// finish commits the open file: footer, sync, close, look, rename.
func (p *partition) finish() error {
	f := p.file
	if f == nil {
		return nil
	}
	s := span{f.start, p.next - 1}
	size, err := f.close(map[string]string{
		"leat.connector": p.task.tc.Connector(), "leat.topic": p.tp.Topic, "leat.partition": fmt.Sprint(p.tp.Partition),
		"leat.start": fmt.Sprint(s.start), "leat.end": fmt.Sprint(s.end), "leat.rows": fmt.Sprint(f.rows),
	})
	if err != nil {
		return fmt.Errorf("finishing %s: %w", f.path, err)
	}
	if err := p.unclaimed(s); err != nil {
		return err
	}
	final := p.task.layout.file(p.tp, s)
	if err := p.task.storage.RenameNoReplace(f.path, final); err != nil {
		return fmt.Errorf("committing %s: %w", final, err)
	}
	p.file, p.durable, p.failures = nil, p.next, 0
	p.task.files.Inc()
	p.task.rows.Add(float64(f.rows))
	p.task.bytes.Add(float64(size))
	p.task.tc.RequestCommit()
	return nil
}

// unclaimed checks that no committed file shares offsets with s, as one would
// if another task had worked on the partition meanwhile.
func (p *partition) unclaimed(s span) error {
	names, err := p.task.storage.List(p.task.layout.dir(p.tp))
	if err != nil {
		return fmt.Errorf("looking before the commit: %w", err)
	}
	for _, n := range names {
		if o, ok := parseName(p.tp, n); ok && o.start <= s.end && s.start <= o.end {
			return fmt.Errorf("offsets %d to %d are in %s already: %w", s.start, s.end, n, fs.ErrExist)
		}
	}
	return nil
}

// settle is where every failure of a step ends: the open file is dropped, the
// names are read again and the records after them come again after a pause.
// Only what cannot be mended this way is returned.
func (p *partition) settle(err error, now time.Time) error {
	if err == nil || errors.Is(err, errReset) {
		return err
	}
	p.failures++
	p.task.errors.Inc()
	log := p.task.tc.Logger().With("topic", p.tp.Topic, "partition", p.tp.Partition)
	if derr := p.drop(); derr != nil {
		log.Warn("a temporary file could not be deleted; the next start will", "error", derr)
	}
	if p.failures >= maxFailures {
		return fmt.Errorf("parquet: %s-%d failed %d times in a row: %w", p.tp.Topic, p.tp.Partition, p.failures, err)
	}
	if rerr := p.resume(); rerr != nil {
		return errors.Join(err, rerr)
	}
	pause := min(firstPause<<(p.failures-1), longestPause)
	log.Error("writing failed; the records will be read again", "error", err, "from", p.durable, "pause", pause)
	p.rewound, p.paused, p.pausedUntil = true, true, now.Add(pause)
	p.task.tc.Pause(p.tp)
	return nil
}

// wake lets a paused partition go on.
func (p *partition) wake(now time.Time) {
	if p.paused && !now.Before(p.pausedUntil) {
		p.paused = false
		if p.next >= 0 { // whatever came during the pause was not taken
			p.task.tc.RequestOffset(p.tp, p.next)
		}
		p.task.tc.Resume(p.tp)
	}
}

// drop gives up the open file.
func (p *partition) drop() error {
	f := p.file
	if f == nil {
		return nil
	}
	p.file = nil
	p.next = p.durable
	return errors.Join(f.abandon(), p.task.storage.Remove(f.path))
}
