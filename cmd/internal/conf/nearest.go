package conf

import "strings"

// minPrefix is the least number of characters that stand for what they begin.
const minPrefix = 4

// Nearest returns the candidate most like name, or "" when none is close enough
// to be what the user meant: at most one edit in four characters, or a
// candidate of which name is the beginning.
func Nearest(name string, candidates []string) string {
	best, bestDistance := "", max(2, len(name)/4)+1
	for _, c := range candidates {
		d := distance(name, c, bestDistance)
		if len(name) >= minPrefix && strings.HasPrefix(c, name) {
			d = min(d, 2)
		}
		if d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b. It gives up at limit.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least >= limit {
			return limit
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
