package console

import (
	"math"
	"testing"
	"time"
)

func TestHistoryKeepsTenMinutesAndMeans(t *testing.T) {
	h, start := newHistory(), time.Unix(1_800_000_000, 0)
	for i := range 1000 {
		values := map[string]float64{"a": float64(i)}
		if i >= 900 {
			values["late"] = 1
		}
		h.add(start.Add(time.Duration(i)*time.Second), values)
	}
	end := start.Add(999 * time.Second)
	near := h.between([]string{"a", "late", "none"}, end.Add(-99*time.Second), end)
	if near.StepMS != 1000 || len(near.Times) != 100 || *near.Series["a"][99] != 999 || *near.Series["late"][0] != 1 || near.Series["none"][0] != nil {
		t.Errorf("the last 100 s: step %d, %d points", near.StepMS, len(near.Times))
	}
	far := h.between([]string{"a"}, start, end)
	if far.StepMS != 10_000 || len(far.Times) < 80 {
		t.Fatalf("all of it: step %d, %d points", far.StepMS, len(far.Times))
	}
	for i := 1; i < len(far.Times); i++ {
		if far.Times[i] <= far.Times[i-1] || *far.Series["a"][i] <= *far.Series["a"][i-1] {
			t.Fatalf("point %d does not follow the one before", i)
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	h, start := newHistory(), time.Unix(1_800_000_000, 0)
	for i := range 2000 {
		h.add(start.Add(time.Duration(i)*time.Second), map[string]float64{string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676)): 1})
	}
	for _, l := range h.levels {
		if len(l.series) > maxSeries {
			t.Errorf("%d series", len(l.series))
		}
	}
	if n := len(h.levels[0].series); n == 0 {
		t.Error("series that ended were never forgotten, so new ones found no room")
	}
}

func TestMeter(t *testing.T) {
	m, start := meter{}, time.Unix(1_800_000_000, 0)
	for i := range 40 {
		counts := map[string]int64{"steady": int64(100 * i), "bursts": int64(i / 5 * 500), "again": int64(100 - i)}
		if i > 37 {
			counts["new"] = 5000
		}
		m.add(start.Add(time.Duration(i)*time.Second), counts)
	}
	now, recent := m.rates(1), m.rates(5)
	if now["steady"] != 100 || recent["steady"] != 100 || recent["bursts"] != 100 || recent["again"] != 0 || recent["new"] != 0 {
		t.Errorf("now %v, recent %v", now, recent)
	}
	if len(m.readings) != filesSpan+1 {
		t.Errorf("%d readings are kept", len(m.readings))
	}
	if perSecond(math.NaN()) != "0/s" {
		t.Error("no rate")
	}
}
