package windowed

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/window"
)

// Key is the serde of windowed keys. The bytes hold no end: a decoded key's
// End is the greatest time there is. Use [KeyOf] to read them with an end.
func Key[K any](s serde.Serde[K]) serde.Serde[window.Windowed[K]] { return key[K]{of: s} }

// KeyOf is the serde of the keys of windows of the given size.
func KeyOf[K any](s serde.Serde[K], size time.Duration) serde.Serde[window.Windowed[K]] {
	return key[K]{of: s, size: size.Milliseconds()}
}

type key[K any] struct {
	of   serde.Serde[K]
	size int64 // milliseconds, 0 = unknown
}

func (k key[K]) Append(dst []byte, w window.Windowed[K]) ([]byte, error) {
	dst, err := k.of.Append(dst, w.Key)
	if err != nil {
		return dst, err
	}
	return binary.BigEndian.AppendUint64(dst, uint64(w.Start)), nil
}

func (k key[K]) Decode(data []byte) (window.Windowed[K], error) {
	var w window.Windowed[K]
	if len(data) < 8 {
		return w, fmt.Errorf("windowed: a windowed key has at least 8 bytes, not %d: %w", len(data), serde.ErrMalformed)
	}
	at := len(data) - 8
	var err error
	if w.Key, err = k.of.Decode(data[:at]); err != nil {
		return w, err
	}
	w.Start = int64(binary.BigEndian.Uint64(data[at:]))
	w.End = math.MaxInt64
	if k.size > 0 && w.Start <= math.MaxInt64-k.size {
		w.End = w.Start + k.size
	}
	return w, nil
}
