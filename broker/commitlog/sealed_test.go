package commitlog

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatstream/leat/broker/vfs"
)

// rollEach is a configuration under which each append seals a segment.
func rollEach() Config {
	cfg := DefaultConfig()
	cfg.SegmentBytes = 1 << 10
	return cfg
}

func fill(t *testing.T, l *Log, segments int) {
	t.Helper()
	for range segments {
		mustAppend(t, l, plain(t, string(make([]byte, 800))), OriginClient)
	}
}

// TestSyncSealed: what is sealed below an offset becomes durable, the active
// segment does not, and what a full sync has reached is not forgotten.
func TestSyncSealed(t *testing.T) {
	m, l := openTest(t, vfs.NewMem(), rollEach())
	fill(t, l, 4) // segments at 0, 1, 2; 3 is active
	for _, step := range []struct {
		upTo, flushed int64
		full          bool
	}{
		{2, 2, false}, {1, 2, false}, {3, 3, false}, {3, 4, true}, {3, 4, false},
	} {
		var err error
		if step.full {
			err = l.Sync(l.EndOffset())
		} else {
			err = l.syncSealed(step.upTo)
		}
		if got := l.recoveryPoint(); err != nil || got != step.flushed {
			t.Fatalf("after %+v: recovery point %d, %v", step, got, err)
		}
		if active := l.active(); active.file.Dirty() == step.full && l.FlushedOffset() < l.EndOffset() {
			t.Fatalf("after %+v: the active segment was synced: %v", step, !active.file.Dirty())
		}
	}
	if err := m.Close(1); err != nil {
		t.Fatal(err)
	}
}

// TestSealedAreSyncedLater: the worker syncs sealed segments after a while, and
// never those that were deleted before.
func TestSealedAreSyncedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := openTest(t, vfs.NewMem(), rollEach())
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- m.Run(ctx) }()
		fill(t, l, 3)
		if n, err := l.DeleteSegments(1); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		time.Sleep(sealedDelay - time.Millisecond)
		fill(t, l, 1)
		synctest.Wait()
		if got := l.recoveryPoint(); got != 0 {
			t.Errorf("recovery point %d before the delay is over", got)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := l.recoveryPoint(); got != 1 { // up to where the first roll was
			t.Errorf("recovery point %d when the delay is over", got)
		}
		time.Sleep(sealedDelay)
		synctest.Wait()
		if got, want := l.recoveryPoint(), l.active().base; got != want {
			t.Errorf("recovery point %d in the end, and the active segment begins at %d", got, want)
		}
		stop()
		if err := <-ran; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := m.Close(1); err != nil {
			t.Error(err)
		}
	})
}
