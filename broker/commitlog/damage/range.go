package damage

import (
	"fmt"

	"github.com/leatstream/leat/broker/record"
)

// Range is a run of bytes of a segment's log file in which no batch is intact.
type Range struct {
	Segment  int64 // base offset of the segment
	Position int64 // bytes [Position, End) of its log file
	End      int64
	First    int64 // offsets [First, Next) are lost; First may be lower than needed
	Next     int64
	Err      error // what is wrong with the first of the bytes
}

// Error says where the damage is.
func (d *Range) Error() string {
	return fmt.Sprintf("segment %d, position %d to %d: offsets %d to %d are damaged: %v", d.Segment, d.Position, d.End, d.First, d.Next-1, d.Err)
}

// Unwrap makes every damage a record.ErrCorruptBatch.
func (d *Range) Unwrap() error { return record.ErrCorruptBatch }
