package file

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// line is one line without its end, or what is left of it.
type line struct {
	start, end int64 // file offsets; end is after the newline
	text       []byte
	cut        bool // longer than the limit
	partial    bool // its file ended without a newline
}

// splitter cuts a stream of bytes into lines. It holds at most one line of
// limit bytes plus one read.
type splitter struct {
	limit   int
	buf     []byte // bytes not yet given out; buf[0] is at file offset pos
	pos     int64
	scanned int   // buf[:scanned] has no newline
	start   int64 // file offset of the line that buf begins in
	head    []byte
	cutting bool // the line was longer than limit: head has its beginning, buf its later bytes
}

// reset starts over at a file offset.
func (s *splitter) reset(pos int64) {
	*s = splitter{limit: s.limit, buf: s.buf[:0], pos: pos, start: pos, head: s.head[:0]}
}

// end is the file offset after the last byte given in.
func (s *splitter) end() int64 { return s.pos + int64(len(s.buf)) }

func (s *splitter) write(b []byte) { s.buf = append(s.buf, b...) }

// next gives the next whole line. Its text is valid until the next write.
func (s *splitter) next() (line, bool) {
	i := bytes.IndexByte(s.buf[s.scanned:], '\n')
	if i < 0 {
		s.scanned = len(s.buf)
		if len(s.buf) > s.limit {
			s.swallow(len(s.buf))
		}
		return line{}, false
	}
	return s.take(s.scanned+i, s.scanned+i+1), true
}

// rest gives what is left after the last newline.
func (s *splitter) rest() (line, bool) {
	if s.end() == s.start {
		return line{}, false
	}
	l := s.take(len(s.buf), len(s.buf))
	l.partial = true
	return l, true
}

// take gives out the line whose text ends at buf[n] and whose end is at buf[after].
func (s *splitter) take(n, after int) line {
	l := line{start: s.start, end: s.pos + int64(after), text: s.buf[:n]}
	if s.cutting {
		l.text, l.cut = s.head, true
	} else if n > s.limit {
		l.text, l.cut = s.buf[:s.limit], true
	}
	if !l.cut {
		l.text = bytes.TrimSuffix(l.text, []byte{'\r'})
	}
	// The bytes are only moved by the next write, so text stays valid until then.
	s.buf = s.buf[after:]
	s.pos += int64(after)
	s.start, s.scanned, s.cutting = s.pos, 0, false
	return l
}

// swallow drops bytes of a line that is too long; the first of them are kept.
func (s *splitter) swallow(n int) {
	if !s.cutting {
		s.cutting = true
		s.head = append(s.head[:0], s.buf[:s.limit]...)
	}
	s.pos += int64(n)
	s.buf = s.buf[:copy(s.buf, s.buf[n:])]
	s.scanned = 0
}

// decodeText decodes a line: invalid bytes become U+FFFD.
func decodeText(b []byte, latin1 bool) (s string, replaced bool) {
	if latin1 {
		r := make([]rune, len(b))
		for i, c := range b {
			r[i] = rune(c)
		}
		return string(r), false
	}
	if utf8.Valid(b) {
		return string(b), false
	}
	return strings.ToValidUTF8(string(b), "\uFFFD"), true
}
