package epoch

import "testing"

func TestEpochCache(t *testing.T) {
	if s := string(History{{0, 0}, {3, 17}}.Encode()); s != "0\n2\n0 0\n3 17\n" {
		t.Errorf("%q", s)
	}
	var e History
	for _, add := range []Entry{{0, 0}, {2, 10}, {5, 20}} {
		e = e.Add(add)
	}
	c := &Cache{entries: e}
	for _, tt := range []struct {
		epoch, found int32
		end          int64
	}{{0, 0, 10}, {1, 0, 10}, {2, 2, 20}, {4, 2, 20}, {5, 5, 33}, {6, -1, -1}, {-1, -1, -1}} {
		if found, end := c.EndOffset(tt.epoch, 33); found != tt.found || end != tt.end {
			t.Errorf("epoch %d: %d ends at %d", tt.epoch, found, end)
		}
	}
	if got := e.WithoutStart(15); len(got) != 2 || got[0] != (Entry{2, 15}) {
		t.Errorf("%v", got)
	}
	for offset, want := range map[int64]int32{-1: -1, 0: 0, 9: 0, 10: 2, 19: 2, 20: 5, 1000: 5} {
		if got := c.At(offset); got != want {
			t.Errorf("offset %d: epoch %d", offset, got)
		}
	}
	if got := e.WithoutEnd(10); len(got) != 1 {
		t.Errorf("%v", got)
	}
	if got := e.Add(Entry{3, 15}); len(got) != 3 || got[2] != (Entry{3, 15}) {
		t.Errorf("%v", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(History{{1, 2}}.Encode())
	f.Add([]byte("0\n3\n1 5\n2 3\n2 4\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := Decode(data)
		if err != nil {
			return
		}
		for i := 1; i < len(h); i++ {
			if h[i].Epoch <= h[i-1].Epoch || h[i].StartOffset <= h[i-1].StartOffset {
				t.Fatalf("not in order: %v", h)
			}
		}
		if again, err := Decode(h.Encode()); err != nil || len(again) != len(h) {
			t.Fatalf("epochs do not survive: %v", err)
		}
	})
}
