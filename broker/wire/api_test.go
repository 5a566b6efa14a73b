package wire

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestTable: kmsg can read and write each listed version, agrees where tagged
// fields begin, and knows no more versions.
func TestTable(t *testing.T) {
	last := int16(-1)
	for _, a := range APIs() {
		if a.Key <= last {
			t.Errorf("key %d out of order", a.Key)
		}
		last = a.Key
		req := kmsg.RequestForKey(a.Key)
		if req == nil {
			t.Fatalf("%s: kmsg does not know key %d", a.Name, a.Key)
		}
		if a.Min != 0 || a.Max != req.MaxVersion() {
			t.Errorf("%s: range %d-%d, kmsg has 0-%d", a.Name, a.Min, a.Max, req.MaxVersion())
		}
		for v := a.Min; v <= a.Max; v++ {
			req.SetVersion(v)
			if req.IsFlexible() != a.IsFlexible(v) {
				t.Errorf("%s version %d: flexible %v, kmsg says %v", a.Name, v, a.IsFlexible(v), req.IsFlexible())
			}
		}
		if got, ok := Lookup(a.Key); !ok || got != a {
			t.Errorf("Lookup(%d) = %v, %v", a.Key, got, ok)
		}
	}
	for _, key := range []int16{-1, 4, 17, 76, 1000, -32768} {
		if _, ok := Lookup(key); ok {
			t.Errorf("key %d is served", key)
		}
	}
}
