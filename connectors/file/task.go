package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/data"
)

// maxWatches bounds the folders that are watched; the rest is found by scanning.
const maxWatches = 256

// task tails the files of one connector.
type task struct {
	tc      connect.SourceContext
	set     *settings
	readers []*reader // in the order they were found
	stored  []*state  // of earlier runs, not claimed by a file yet
	first   bool      // no scan yet
	next    time.Time // of the next scan
	buf     []byte
	watcher *fsnotify.Watcher // nil: only scans
	watched map[string]bool
	warned  map[string]bool // files that could not be opened, and other things said once

	truncations, replaced, cut prometheus.Counter
}

// Start implements connect.SourceTask.
func (t *task) Start(ctx context.Context, tc connect.SourceContext, props map[string]string) (err error) {
	if t.set, err = parseSettings(props); err != nil {
		return err
	}
	if t.set.host == "" {
		if t.set.host, err = os.Hostname(); err != nil {
			return fmt.Errorf("file: host name: %w", err)
		}
	}
	offsets, err := tc.Offsets(ctx)
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	for _, o := range offsets {
		if s, ok := parseState(o); ok {
			t.stored = append(t.stored, s)
		}
	}
	t.tc, t.first, t.buf = tc, true, make([]byte, readBytes)
	t.watched, t.warned = map[string]bool{}, map[string]bool{}
	if t.watcher, err = fsnotify.NewWatcher(); err != nil {
		tc.Logger().Warn("files are not watched, only scanned", "error", err)
		t.watcher = nil
	}
	t.register(tc.Metrics())
	return nil
}

func (t *task) register(reg prometheus.Registerer) {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "leat_connect_file_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	t.truncations = counter("truncations_total", "Files that were truncated while they were read.")
	t.replaced = counter("invalid_text_total", "Events with bytes that are not valid in the encoding.")
	t.cut = counter("lines_cut_total", "Lines longer than max.line.bytes.")
}

// Poll implements connect.SourceTask.
func (t *task) Poll(ctx context.Context) ([]*connect.SourceRecord, error) {
	for {
		now := time.Now()
		if !now.Before(t.next) {
			t.scan(ctx, now)
			t.next = now.Add(t.set.scanEvery)
		}
		out := t.read(now)
		if len(out) > 0 || ctx.Err() != nil {
			return out, nil
		}
		if !t.wait(ctx) {
			return nil, nil
		}
	}
}

// wait returns true when there may be something to read or a scan is due.
func (t *task) wait(ctx context.Context) bool {
	timer := time.NewTimer(min(time.Until(t.next), t.set.eventWait))
	defer timer.Stop()
	var events <-chan fsnotify.Event
	var failures <-chan error
	if t.watcher != nil {
		events, failures = t.watcher.Events, t.watcher.Errors
	}
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case e := <-events:
		if !e.Has(fsnotify.Write) {
			t.next = time.Time{} // created, renamed or removed
		}
	case <-failures: // an overflow, mostly: scanning finds what was missed
		t.next = time.Time{}
	}
	return true
}

// scan looks which files there are and finds or makes their readers.
func (t *task) scan(ctx context.Context, now time.Time) {
	files, more := scan(t.set.patterns, t.set.exclude, t.set.maxFiles)
	if more {
		t.warnOnce("max.files", "more files match than max.files; the rest is not read", nil)
	}
	seen := map[*reader]bool{}
	var fresh []found
	for _, f := range files {
		if r := t.byInode(inodeOf(f.info)); r != nil {
			if !seen[r] { // hard and symbolic links: the first path counts
				r.was, r.path, r.gone = r.path, f.path, time.Time{}
			}
			seen[r] = true
			continue
		}
		fresh = append(fresh, f)
	}
	for _, r := range t.readers {
		if !seen[r] && r.gone.IsZero() {
			r.gone = now
		}
	}
	for _, f := range fresh {
		t.adopt(ctx, f, now)
	}
	t.first = false
	t.retire(now)
	t.watch()
}

func (t *task) byInode(id inode) *reader {
	if id == (inode{}) {
		return nil
	}
	for _, r := range t.readers {
		if r.identity.inode == id {
			return r
		}
	}
	return nil
}

// adopt starts to read a file that has no reader.
func (t *task) adopt(ctx context.Context, f found, now time.Time) {
	h, err := os.Open(f.path)
	if err != nil {
		t.warnOnce(f.path, "a file cannot be opened", err)
		return
	}
	defer h.Close()
	delete(t.warned, f.path)
	st, wait := t.recognise(f, h, now)
	if wait {
		return
	}
	if st == nil {
		st = &state{id: uuid.NewString(), identity: identity{inode: inodeOf(f.info)}}
		st.pos = t.startPos(ctx, f, now)
		if n := min(st.pos, headBytes); n > 0 {
			if hash, ok := hashHead(h, n); ok {
				st.identity.hash, st.identity.length = hash, n
			}
		}
	}
	st.path = f.path
	r, err := open(t.set, st, now)
	if err != nil {
		t.warnOnce(f.path, "a file cannot be opened", err)
		return
	}
	for _, old := range t.readers {
		if old.path == f.path || old.was == f.path {
			r.after, old.idle = old, false
		}
	}
	t.readers = append(t.readers, r)
}

// recognise finds the state of a file that was read before, under this or
// another name. wait says that a copy is still being made.
func (t *task) recognise(f found, h *os.File, now time.Time) (st *state, wait bool) {
	id := inodeOf(f.info)
	for i, s := range t.stored {
		if s.identity.inode == id && s.identity.startsWith(h) && f.info.Size() >= s.pos {
			t.stored = slices.Delete(t.stored, i, i+1)
			return s, false
		}
	}
	for i, s := range t.stored {
		if s.identity.length > 0 && s.identity.startsWith(h) && f.info.Size() >= s.pos && !sameFile(s) {
			t.stored = slices.Delete(t.stored, i, i+1)
			s.identity.inode = id
			return s, false
		}
	}
	for _, r := range t.readers {
		for _, s := range []*state{r.state, r.before} {
			if s == nil || s.identity.length == 0 || !strings.HasPrefix(f.path, r.path) || !s.identity.startsWith(h) {
				continue
			}
			if s == r.state || f.info.Size() < s.pos {
				// The copy is being made, or its origin is not truncated yet. If
				// that does not happen soon, it is just a file that looks alike.
				if now.Sub(f.info.ModTime()) < t.set.rotateWait {
					return nil, true
				}
				continue
			}
			c := *s
			c.id, c.identity.inode = uuid.NewString(), id
			return &c, false
		}
	}
	return nil, false
}

// sameFile reports whether the file that a stored state speaks of is still
// where it was, as it was: then another file with its beginning is another file.
func sameFile(s *state) bool {
	info, err := os.Stat(s.path)
	if err != nil || inodeOf(info) != s.identity.inode || info.Size() < s.pos {
		return false
	}
	f, err := os.Open(s.path)
	if err != nil {
		return false
	}
	defer f.Close()
	return s.identity.startsWith(f)
}

// startPos is where reading starts in a file never seen before.
func (t *task) startPos(ctx context.Context, f found, now time.Time) int64 {
	// A Java worker's FileStreamSource may have left its place.
	old, err := t.tc.Offset(ctx, map[string]any{"filename": f.path})
	if pos, ok := connect.OffsetLong(old, "position"); err == nil && ok && pos >= 0 && pos <= f.info.Size() {
		return pos
	}
	tooOld := t.set.olderThan >= 0 && now.Sub(f.info.ModTime()) > t.set.olderThan
	if tooOld || t.first && t.set.startEnd && len(t.stored) == 0 {
		return f.info.Size()
	}
	return 0
}

// retire closes readers whose file is gone and read to its end.
func (t *task) retire(now time.Time) {
	t.readers = slices.DeleteFunc(t.readers, func(r *reader) bool {
		done := !r.gone.IsZero() && r.idle && r.split.end() == r.split.start && !r.gather.open &&
			now.Sub(r.gone) >= t.set.rotateWait && now.Sub(r.lastData) >= t.set.rotateWait
		if done {
			if err := r.close(); err != nil {
				t.tc.Logger().Warn("closing a file failed", "path", r.path, "error", err)
			}
		}
		return done
	})
}

// watch sees to it that the folders of the files are watched.
func (t *task) watch() {
	if t.watcher == nil {
		return
	}
	dirs := make([]string, 0, len(t.set.patterns)+len(t.readers))
	for _, p := range t.set.patterns {
		dirs = append(dirs, baseDir(p))
	}
	for _, r := range t.readers {
		dirs = append(dirs, filepath.Dir(r.path))
	}
	for _, d := range dirs {
		if t.watched[d] || len(t.watched) >= maxWatches {
			continue
		}
		if err := t.watcher.Add(d); err == nil {
			t.watched[d] = true
		}
	}
}

// read gives every reader its turn.
func (t *task) read(now time.Time) []*connect.SourceRecord {
	var out []*connect.SourceRecord
	for _, r := range t.readers {
		if r.after != nil && !r.after.idle {
			continue
		}
		r.after = nil
		recs, err := t.readOne(r, t.set.batch-len(out), now)
		out = append(out, recs...)
		if err != nil {
			t.warnOnce("read "+r.path, "reading a file failed, will be repeated", err)
		}
		if len(out) >= t.set.batch {
			break
		}
	}
	return out
}

// readOne reads from one file until its turn is over, limit is reached or it has no more.
func (t *task) readOne(r *reader, limit int, now time.Time) ([]*connect.SourceRecord, error) {
	if r.idle {
		if err := t.checkTruncation(r); err != nil {
			return nil, err
		}
	}
	var out []*connect.SourceRecord
	var events []event
	for turn := 0; len(out) < limit; {
		if l, ok := r.split.next(); ok {
			events = r.gather.add(l, events[:0])
			out = t.emit(out, r, events)
			continue
		}
		if turn >= turnBytes {
			return out, nil
		}
		more, err := r.fill(t.buf, now)
		turn += readBytes
		if err != nil {
			return out, err
		}
		if !more {
			return t.atEnd(out, r, now), nil
		}
	}
	return out, nil
}

func (t *task) checkTruncation(r *reader) error {
	yes, err := r.truncated()
	if err != nil || !yes {
		return err
	}
	t.truncations.Inc()
	t.tc.Logger().Warn("file was truncated; reading it from the beginning", "path", r.path, "read_to", r.pos)
	r.restart()
	return nil
}

// atEnd gives out what will not become longer: an event for which nothing
// came for a while, and the last half line of a file that is gone.
func (t *task) atEnd(out []*connect.SourceRecord, r *reader, now time.Time) []*connect.SourceRecord {
	quiet := now.Sub(r.lastData)
	if !r.gone.IsZero() && quiet >= t.set.rotateWait && now.Sub(r.gone) >= t.set.rotateWait {
		if l, ok := r.split.rest(); ok {
			out = t.emit(out, r, r.gather.add(l, nil))
		}
		if r.gather.open {
			out = t.emit(out, r, []event{r.gather.take()})
		}
		return out
	}
	if r.gather.open && quiet >= t.set.eventWait {
		out = t.emit(out, r, []event{r.gather.take()})
	}
	return out
}

func (t *task) emit(out []*connect.SourceRecord, r *reader, events []event) []*connect.SourceRecord {
	for _, e := range events {
		r.advance(e.end, e.lines)
		out = append(out, t.record(r, e))
	}
	return out
}

func (t *task) record(r *reader, e event) *connect.SourceRecord {
	if e.start == 0 && !t.set.latin1 {
		e.text = bytes.TrimPrefix(e.text, bom)
	}
	text, replaced := decodeText(e.text, t.set.latin1)
	headers := []connect.Header{
		{Name: "host.name", Schema: data.StringSchema, Value: t.set.host},
		{Name: "log.file.path", Schema: data.StringSchema, Value: r.path},
		{Name: "log.file.offset", Schema: data.StringSchema, Value: strconv.FormatInt(e.start, 10)},
	}
	flag := func(on bool, name string, c prometheus.Counter) {
		if !on {
			return
		}
		if c != nil {
			c.Inc()
		}
		headers = append(headers, connect.Header{Name: name, Schema: data.StringSchema, Value: "true"})
	}
	flag(e.cut, "truncated", t.cut)
	flag(e.partial, "partial", nil)
	if replaced {
		t.replaced.Inc()
	}
	return &connect.SourceRecord{
		Record: connect.Record{Topic: t.set.topic, Partition: connect.AnyPartition,
			Value: text, ValueSchema: data.StringSchema, Headers: headers},
		SourcePartition: r.partition(), SourceOffset: r.offset(),
	}
}

func (t *task) warnOnce(key, what string, err error) {
	if t.warned[key] {
		return
	}
	t.warned[key] = true
	t.tc.Logger().Warn(what, "about", key, "error", err)
}

// Stop implements connect.SourceTask.
func (t *task) Stop() error {
	var err error
	for _, r := range t.readers {
		err = errors.Join(err, r.close())
	}
	t.readers = nil
	if t.watcher != nil {
		err = errors.Join(err, t.watcher.Close())
	}
	return err
}
