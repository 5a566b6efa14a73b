package record

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// DefaultMaxDecompressed bounds the records section of one batch after
// decompression when the caller names no bound, in bytes.
const DefaultMaxDecompressed = 256 << 20

// Levels are the compression levels for gzip (-1 or 1–9), lz4 (1–17) and zstd.
// Zero values mean the codec's default.
type Levels struct {
	Gzip int
	LZ4  int
	Zstd int
}

// The pools below hold codecs whose state is expensive to build. They carry no
// data from one use to the next.
var (
	gzipReaders sync.Pool // *gzip.Reader
	lz4Readers  sync.Pool // *lz4.Reader
	zstdReaders sync.Pool // *zstd.Decoder
	scratch     = sync.Pool{New: func() any { return new([]byte) }}
)

// maxScratch bounds the buffers that go back to the pool, in bytes.
const maxScratch = 4 << 20

func getScratch() *[]byte { return scratch.Get().(*[]byte) }

func putScratch(b *[]byte) {
	if cap(*b) <= maxScratch {
		*b = (*b)[:0]
		scratch.Put(b)
	}
}

// Decompress appends the decompressed form of src to dst, at most limit bytes
// of it; more gives ErrTooLarge. Limit 0 means DefaultMaxDecompressed.
func Decompress(dst []byte, c Compression, src []byte, limit int) ([]byte, error) {
	if limit <= 0 {
		limit = DefaultMaxDecompressed
	}
	switch c {
	case None:
		if len(src) > limit {
			return dst, ErrTooLarge
		}
		return append(dst, src...), nil
	case Gzip:
		return decompressGzip(dst, src, limit)
	case Snappy:
		return decompressSnappy(dst, src, limit)
	case LZ4:
		return decompressLZ4(dst, bytes.NewReader(src), limit)
	case Zstd:
		return decompressZstd(dst, src, limit)
	}
	return dst, fmt.Errorf("%w: %v", ErrUnsupportedCompression, c)
}

func decompressGzip(dst, src []byte, limit int) ([]byte, error) {
	in := bytes.NewReader(src)
	r, _ := gzipReaders.Get().(*gzip.Reader)
	var err error
	if r == nil {
		r, err = gzip.NewReader(in)
	} else {
		err = r.Reset(in)
	}
	if err != nil {
		return dst, fmt.Errorf("%w: gzip: %v", ErrCorruptBatch, err)
	}
	defer gzipReaders.Put(r)
	return readBounded(dst, r, limit, Gzip)
}

func decompressLZ4(dst []byte, src io.Reader, limit int) ([]byte, error) {
	r, _ := lz4Readers.Get().(*lz4.Reader)
	if r == nil {
		r = lz4.NewReader(nil)
	}
	defer lz4Readers.Put(r)
	r.Reset(src)
	return readBounded(dst, r, limit, LZ4)
}

func decompressZstd(dst, src []byte, limit int) ([]byte, error) {
	r, _ := zstdReaders.Get().(*zstd.Decoder)
	if r == nil {
		var err error
		// The window bound is zstd's own default for streams; one goroutine
		// is enough for batches and keeps the decoder free of background work.
		r, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return dst, err
		}
	}
	defer zstdReaders.Put(r)
	if err := r.Reset(bytes.NewReader(src)); err != nil {
		return dst, fmt.Errorf("%w: zstd: %v", ErrCorruptBatch, err)
	}
	out, err := readBounded(dst, r, limit, Zstd)
	_ = r.Reset(nil) // lets go of src
	return out, err
}

// readBounded appends everything from r to dst, growing it step by step so that
// a small input cannot claim a large buffer at once.
func readBounded(dst []byte, r io.Reader, limit int, c Compression) ([]byte, error) {
	start := len(dst)
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, make([]byte, max(4096, min(len(dst), 1<<20)))...)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if len(dst)-start > limit {
			return dst[:start], ErrTooLarge
		}
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst[:start], fmt.Errorf("%w: %v: %v", ErrCorruptBatch, c, err)
		}
	}
}

// xerialMagic opens the framing that Java producers put around snappy:
// magic, version int32, least compatible version int32, then blocks of
// (size int32, raw snappy).
var xerialMagic = [8]byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const (
	xerialHeader = 16
	xerialBlock  = 32 << 10 // uncompressed bytes per block when writing
)

func decompressSnappy(dst, src []byte, limit int) ([]byte, error) {
	start := len(dst)
	if len(src) < xerialHeader || [8]byte(src[:8]) != xerialMagic {
		return snappyBlock(dst, start, src, limit)
	}
	src = src[xerialHeader:]
	for len(src) > 0 {
		if len(src) < 4 {
			return dst[:start], fmt.Errorf("%w: snappy: cut block size", ErrCorruptBatch)
		}
		size := int64(binary.BigEndian.Uint32(src))
		if size > int64(len(src)-4) {
			return dst[:start], fmt.Errorf("%w: snappy: block of %d bytes", ErrCorruptBatch, size)
		}
		var err error
		if dst, err = snappyBlock(dst, start, src[4:4+size], limit); err != nil {
			return dst, err
		}
		src = src[4+size:]
	}
	return dst, nil
}

// snappyBlock appends one raw block; dst[:start] is what Decompress was given.
func snappyBlock(dst []byte, start int, block []byte, limit int) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return dst[:start], fmt.Errorf("%w: snappy: %v", ErrCorruptBatch, err)
	}
	// Snappy cannot shrink data by more than this, so a larger claim is a lie
	// told to make the reader allocate.
	if n > 64*len(block)+64 {
		return dst[:start], fmt.Errorf("%w: snappy: claims %d bytes", ErrCorruptBatch, n)
	}
	at := len(dst)
	if at-start+n > limit {
		return dst[:start], ErrTooLarge
	}
	dst = append(dst, make([]byte, n)...)
	if _, err := snappy.Decode(dst[at:], block); err != nil {
		return dst[:start], fmt.Errorf("%w: snappy: %v", ErrCorruptBatch, err)
	}
	return dst, nil
}
