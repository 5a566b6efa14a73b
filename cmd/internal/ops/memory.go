package ops

import (
	"math"
	"runtime/debug"
	"strconv"
	"strings"
)

// HeapLimit reads the -Xmx of KAFKA_HEAP_OPTS, in bytes. The last one counts,
// as in a JVM; ok is false when there is none or it is malformed.
func HeapLimit(heapOpts string) (size int64, ok bool) {
	for _, word := range strings.Fields(heapOpts) {
		if text, found := strings.CutPrefix(word, "-Xmx"); found {
			size, ok = parseJVMSize(text)
		}
	}
	return size, ok
}

func parseJVMSize(text string) (int64, bool) {
	if text == "" {
		return 0, false
	}
	shift := 0
	switch text[len(text)-1] {
	case 'k', 'K':
		shift = 10
	case 'm', 'M':
		shift = 20
	case 'g', 'G':
		shift = 30
	case 't', 'T':
		shift = 40
	}
	if shift > 0 {
		text = text[:len(text)-1]
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64>>shift {
		return 0, false
	}
	return n << shift, true
}

// ApplyHeapLimit sets the runtime's soft memory limit from KAFKA_HEAP_OPTS
// unless GOMEMLIMIT, which the runtime reads itself, is given. It returns the
// limit it set, or 0.
func ApplyHeapLimit(getenv func(string) string) int64 {
	if getenv("GOMEMLIMIT") != "" {
		return 0
	}
	size, ok := HeapLimit(getenv("KAFKA_HEAP_OPTS"))
	if !ok {
		return 0
	}
	debug.SetMemoryLimit(size)
	return size
}
