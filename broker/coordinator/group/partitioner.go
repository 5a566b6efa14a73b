package group

import "unicode/utf16"

// PartitionOf maps a group name to one of n partitions as Java clients and tools
// compute it: the string hash over UTF-16 code units, made non-negative (the
// smallest int has no positive counterpart and counts as 0), modulo n.
func PartitionOf(group string, n int32) int32 {
	if n <= 0 {
		return 0
	}
	h := javaHash(group)
	switch {
	case h == -1<<31:
		h = 0
	case h < 0:
		h = -h
	}
	return h % n
}

func javaHash(s string) int32 {
	var h int32
	for _, r := range s {
		if hi, lo := utf16.EncodeRune(r); hi != '\uFFFD' {
			h = 31*h + hi
			r = lo
		}
		h = 31*h + r
	}
	return h
}
