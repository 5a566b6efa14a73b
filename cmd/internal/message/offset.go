package message

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ErrPosition marks a text that names no position in a log.
var ErrPosition = errors.New("not an offset")

// PositionKind says what a Position counts from.
type PositionKind int

// The kinds of Position.
const (
	FromStart PositionKind = iota // Offset records after the first one
	FromEnd                       // Offset records before the end
	AtOffset                      // Offset itself
	AtTime                        // first record at or after Time
	Unbounded                     // no position given
)

// Position is a place in every partition of a topic.
type Position struct {
	Kind   PositionKind
	Offset int64
	Time   time.Time
}

// ParseRange reads FROM or FROM:TO, where TO is exclusive and may be absent:
//
//	start  end  42  +5 (after the start)  -10 (before the end)
//	@2026-11-21T10:00:00Z  @2026-11-21  @1763719200000 (ms)  @-1h (ago)
func ParseRange(text string, now time.Time) (from, to Position, err error) {
	to.Kind = Unbounded
	first, last, ranged := cutRange(text)
	if from, err = parsePosition(first, now); err != nil || !ranged {
		return from, to, err
	}
	if last == "" {
		return from, to, nil
	}
	to, err = parsePosition(last, now)
	return from, to, err
}

// cutRange finds the colon between two positions; the colons of a clock time
// are not it, because a time starts at '@' and the second position, when it is
// a time, does too.
func cutRange(text string) (first, last string, ranged bool) {
	if !strings.HasPrefix(text, "@") {
		return strings.Cut(text, ":")
	}
	if i := strings.Index(text[1:], ":@"); i >= 0 {
		return text[:i+1], text[i+2:], true
	}
	// "@-1h:-30m": durations hold no colon, so the first one is it.
	if strings.HasPrefix(text, "@-") {
		first, last, ranged = strings.Cut(text, ":")
		if strings.HasPrefix(last, "-") && !isInteger(last) {
			last = "@" + last
		}
		return first, last, ranged
	}
	if rest, ok := strings.CutSuffix(text, ":end"); ok {
		return rest, "end", true
	}
	return text, "", false
}

func isInteger(s string) bool {
	_, err := strconv.ParseInt(s, 10, 64)
	return err == nil
}

func parsePosition(text string, now time.Time) (Position, error) {
	switch {
	case text == "start" || text == "beginning" || text == "earliest":
		return Position{Kind: FromStart}, nil
	case text == "end" || text == "latest":
		return Position{Kind: FromEnd}, nil
	case strings.HasPrefix(text, "@"):
		at, err := parseTime(text[1:], now)
		return Position{Kind: AtTime, Time: at}, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n == math.MinInt64 {
		return Position{}, fmt.Errorf("%w: %q; want start, end, 42, +5, -10, @TIME or @-1h", ErrPosition, text)
	}
	switch text[0] {
	case '-':
		return Position{Kind: FromEnd, Offset: -n}, nil
	case '+':
		return Position{Kind: FromStart, Offset: n}, nil
	}
	return Position{Kind: AtOffset, Offset: n}, nil
}

// parseTime reads an age with a minus, milliseconds since 1970, a date or RFC 3339.
func parseTime(text string, now time.Time) (time.Time, error) {
	if age, ok := strings.CutPrefix(text, "-"); ok {
		d, err := parseAge(age)
		if err != nil {
			return time.Time{}, fmt.Errorf("%w: age %q; want for example 90s, 15m, 1h30m or 2d", ErrPosition, age)
		}
		return now.Add(-d), nil
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms >= 0 {
		return time.UnixMilli(ms), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: time %q; want RFC 3339, a date, milliseconds or an age as -1h", ErrPosition, text)
}

// parseAge is time.ParseDuration with whole days in front.
func parseAge(text string) (time.Duration, error) {
	var total time.Duration
	if days, rest, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, err
		}
		total, text = time.Duration(n)*24*time.Hour, rest
		if text == "" {
			return total, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, err
	}
	if d < 0 {
		return 0, ErrPosition
	}
	return total + d, nil
}

// Resolve turns p into an offset for a partition that holds [start, end).
// byTime is the offset of the first record at or after p.Time, or -1 when there
// is none. The result lies within [start, end]; an unbounded position is beyond
// every offset.
func (p Position) Resolve(start, end, byTime int64) int64 {
	switch p.Kind {
	case FromStart:
		return min(start+p.Offset, end)
	case FromEnd:
		return max(end-p.Offset, start)
	case AtTime:
		if byTime < 0 {
			return end
		}
		return byTime
	case Unbounded:
		return math.MaxInt64
	}
	return min(max(p.Offset, start), end)
}
