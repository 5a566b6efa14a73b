package console

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/leatstream/leat/cmd/internal/output"
)

// count is "1 broker" or "3 brokers".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return integer(int64(n)) + " " + noun + "s"
}

// integer groups digits by thousands; negative numbers are unknown.
func integer(n int64) string {
	if n < 0 {
		return "–"
	}
	digits := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// perSecond writes a rate with about three digits.
func perSecond(rate float64) string {
	switch {
	case rate <= 0 || math.IsNaN(rate):
		return "0/s"
	case rate < 10:
		return strconv.FormatFloat(rate, 'f', 1, 64) + "/s"
	case rate < 10_000:
		return integer(int64(math.Round(rate))) + "/s"
	case rate < 1e6:
		return strconv.FormatFloat(rate/1e3, 'f', 1, 64) + "k/s"
	}
	return strconv.FormatFloat(rate/1e6, 'f', 2, 64) + "M/s"
}

func byteSize(n int64) string {
	if n < 0 {
		return "–"
	}
	return output.Bytes(n)
}

func bytesPerSecond(rate float64) string { return byteSize(int64(max(0, rate))) + "/s" }

// lagTime says how far a lag is behind in time, at the pace of the group.
func lagTime(lag int64, pace float64) string {
	switch {
	case lag <= 0:
		return "caught up"
	case pace < 0.1:
		return "standing still"
	}
	seconds := float64(lag) / pace
	switch {
	case seconds < 1:
		return "under 1 s behind"
	case seconds < 90:
		return fmt.Sprintf("about %.0f s behind", seconds)
	case seconds < 5400:
		return fmt.Sprintf("about %.0f min behind", seconds/60)
	}
	return fmt.Sprintf("about %.0f h behind", seconds/3600)
}

func timeText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// shellQuote quotes an argument of a command line where it must be.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./_-", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shorten cuts a text in the middle of nowhere and says so.
func shorten(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}
