package file

import (
	"errors"
	"io"
	"os"
	"time"
)

// Sizes of reading.
const (
	readBytes = 64 << 10  // one read
	turnBytes = 256 << 10 // what one file may give before the next has its turn
)

var bom = []byte{0xEF, 0xBB, 0xBF}

// reader tails one file. state.pos follows the events given out; the splitter
// and the gatherer are ahead of it by what is not yet a complete event.
type reader struct {
	*state
	set      *settings
	f        *os.File
	split    splitter
	gather   gatherer
	idle     bool      // the last read found the end
	lastData time.Time // when the last bytes came
	gone     time.Time // since when no path leads to the file; zero: one does
	was      string    // the path before the last scan
	// after is a reader of the file that had this path before; nothing is read
	// here until that one has come to its end.
	after *reader
	// before is what the file was before it was last truncated: a copy made by
	// a rotation is recognised by it.
	before *state
}

// open opens path and goes to st.pos.
func open(set *settings, st *state, now time.Time) (*reader, error) {
	f, err := os.Open(st.path)
	if err != nil {
		return nil, err
	}
	r := &reader{state: st, set: set, f: f, split: splitter{limit: set.maxLine}, gather: gatherer{set: set}, lastData: now}
	r.split.reset(st.pos)
	return r, nil
}

// fill reads once. It returns false at the end of the file.
func (r *reader) fill(buf []byte, now time.Time) (bool, error) {
	n, err := r.f.ReadAt(buf, r.split.end())
	if n > 0 {
		b := buf[:n]
		r.split.write(b)
		r.lastData, r.idle = now, false
		return true, nil
	}
	r.idle = true
	if err == nil || errors.Is(err, io.EOF) {
		return false, nil
	}
	return false, err
}

// truncated reports whether the file no longer is what was read so far: it is
// shorter, or begins differently. To be asked before bytes are read after idling.
func (r *reader) truncated() (bool, error) {
	info, err := r.f.Stat()
	if err != nil {
		return false, err
	}
	if info.Size() < r.split.end() {
		return true, nil
	}
	return info.Size() > r.split.end() && !r.identity.startsWith(r.f), nil
}

// restart goes on at the beginning after a truncation.
func (r *reader) restart() {
	old := *r.state
	r.before = &old
	r.pos, r.lines, r.identity.hash, r.identity.length = 0, 0, "", 0
	r.split.reset(0)
	r.gather.reset()
}

// advance moves pos behind an event that is given out, and lets the fingerprint grow.
func (r *reader) advance(end, lines int64) {
	r.pos, r.lines = end, r.lines+lines
	if n := min(end, headBytes); n > r.identity.length {
		if h, ok := hashHead(r.f, n); ok {
			r.identity.hash, r.identity.length = h, n
		}
	}
}

func (r *reader) close() error { return r.f.Close() }

// event is one or more lines that become one record.
type event struct {
	start, end int64
	lines      int64
	text       []byte
	cut        bool
	partial    bool
}

// gatherer joins lines to events. Without a multi-line pattern each line is an
// event; with one, an event ends before the next line that matches, at its
// limits, or when nothing comes for a while.
type gatherer struct {
	set     *settings
	current event
	open    bool // current has lines
}

func (g *gatherer) reset() { g.open, g.current = false, event{} }

// add takes a line; done are the events that it completes, at most two.
func (g *gatherer) add(l line, done []event) []event {
	if g.set.multiline == nil {
		return append(done, event{start: l.start, end: l.end, lines: 1, text: append([]byte(nil), l.text...), cut: l.cut, partial: l.partial})
	}
	if g.open && (g.set.multiline.Match(l.text) || len(g.current.text)+1+len(l.text) > g.set.maxLine) {
		done = append(done, g.take())
	}
	if !g.open {
		g.open, g.current = true, event{start: l.start, text: append([]byte(nil), l.text...)}
	} else {
		g.current.text = append(append(g.current.text, '\n'), l.text...)
	}
	g.current.end = l.end
	g.current.lines++
	g.current.cut = g.current.cut || l.cut
	g.current.partial = g.current.partial || l.partial
	if g.current.lines >= int64(g.set.eventLines) {
		done = append(done, g.take())
	}
	return done
}

func (g *gatherer) take() event {
	e := g.current
	g.reset()
	return e
}
