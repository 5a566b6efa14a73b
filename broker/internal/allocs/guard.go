package allocs

import "testing"

// warmUp is how often f runs before it is measured: pools and buffers grow.
const warmUp = 64

// SkipRace skips a test whose pools drop what they are given at random under the
// race detector.
func SkipRace(t testing.TB) {
	t.Helper()
	if raceDetector {
		t.Skip("pools drop what they are given at random")
	}
}

// Guard fails t if a run of f, once warm, costs more than most allocations in
// the whole process.
func Guard(t testing.TB, name string, most float64, f func()) {
	t.Helper()
	for range warmUp {
		f()
	}
	if got := testing.AllocsPerRun(100, f); got > most {
		t.Errorf("%s: %v allocations, want %v at most", name, got, most)
	}
}
