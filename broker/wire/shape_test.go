package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// byKmsg visits every flexible version that kmsg decodes with random requests.
func byKmsg(t *testing.T, visit func(a API, version int16, body []byte)) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, a := range APIs() {
		if a.Key == Produce || a.Key == Fetch {
			continue
		}
		for v := max(a.Flexible, a.Min); v <= a.Max; v++ {
			for range 50 {
				req := kmsg.RequestForKey(a.Key)
				fill(rng, reflect.ValueOf(req).Elem())
				req.SetVersion(v)
				visit(a, v, req.AppendTo(nil))
			}
		}
	}
}

// The shapes are those that kmsg writes: all of a body is skipped, to the byte.
func TestShapes(t *testing.T) {
	byKmsg(t, func(a API, v int16, body []byte) {
		if err := CheckCounts(a.Key, v, body); err != nil {
			t.Fatalf("%s %d: %v in %x", a.Name, v, err, body)
		}
		fields, _ := shapeOf(a.Key, v)
		r := reader{b: body}
		if r.skipStruct(fields); len(r.b) != 0 {
			t.Fatalf("%s %d: %x is left of %x", a.Name, v, r.b, body)
		}
		if CheckCounts(a.Key, v, body[:len(body)-1]) == nil {
			t.Fatalf("%s %d: a body without its end passes", a.Name, v)
		}
		// The request's own tagged fields are the last byte.
		huge := append(bytes.Clone(body[:len(body)-1]), 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0)
		if err := CheckCounts(a.Key, v, huge); !errors.Is(err, ErrMalformed) {
			t.Fatalf("%s %d: %v for countless tagged fields", a.Name, v, err)
		}
	})
}

// Whatever a byte becomes, the check and what it lets pass to kmsg come to an
// end.
func TestShapesOfAlteredBodies(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	huge := binary.AppendUvarint(nil, 1<<32-1)
	byKmsg(t, func(a API, v int16, body []byte) {
		at := rng.IntN(len(body))
		altered := append(bytes.Clone(body[:at]), huge...)
		if altered = append(altered, body[at:]...); CheckCounts(a.Key, v, altered) == nil {
			req := kmsg.RequestForKey(a.Key)
			req.SetVersion(v)
			_ = req.ReadFrom(altered)
		}
	})
}

func TestCheckCountsOfOldVersions(t *testing.T) {
	if err := CheckCounts(Metadata, 8, nil); err != nil {
		t.Error(err)
	}
	if n := testing.AllocsPerRun(10, func() { _ = CheckCounts(Heartbeat, 4, []byte("\x02g\x00\x00\x00\x01\x02m\x00\x00")) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
