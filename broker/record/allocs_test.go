package record

import (
	"fmt"
	"testing"

	"github.com/leatstream/leat/broker/internal/allocs"
)

// TestAllocations guards the check of what a producer sends: it costs nothing
// for a record, and nothing for a batch that need not be decompressed.
func TestAllocations(t *testing.T) {
	allocs.SkipRace(t)
	for _, codec := range []Compression{None, Gzip, Snappy, LZ4, Zstd} {
		opts := NewOptions()
		opts.Compression = codec
		batch := build(t, opts, 160, 100)
		for mode, most := range map[Mode]float64{ModeHeader: 0, ModeRecords: 1} {
			if codec == None {
				most = 0
			}
			allocs.Guard(t, fmt.Sprintf("%v, mode %v", codec, mode), most, func() {
				if err := batch.Validate(Checks{Mode: mode}); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}
