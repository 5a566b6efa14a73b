package record

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// encoderKey tells pooled encoders of different levels apart.
type encoderKey struct {
	codec Compression
	level int
}

// encoders maps encoderKey to *sync.Pool; it holds a handful of keys because
// levels are bounded by clampLevels.
var encoders sync.Map

// sink collects an encoder's output in a caller's buffer.
type sink struct{ buf []byte }

func (s *sink) Write(p []byte) (int, error) {
	s.buf = append(s.buf, p...)
	return len(p), nil
}

// streamEncoder is what gzip, lz4 and zstd writers have in common.
type streamEncoder interface {
	io.WriteCloser
	Reset(io.Writer)
}

// Compress appends the compressed form of src to dst.
func Compress(dst []byte, c Compression, levels Levels, src []byte) ([]byte, error) {
	switch c {
	case None:
		return append(dst, src...), nil
	case Snappy:
		return compressXerial(dst, src), nil
	case Gzip, LZ4, Zstd:
		return compressStream(dst, c, levels.of(c), src)
	}
	return dst, fmt.Errorf("%w: %v", ErrUnsupportedCompression, c)
}

// of gives the level for a codec within the codec's bounds.
func (l Levels) of(c Compression) int {
	switch c {
	case Gzip:
		if l.Gzip >= 1 && l.Gzip <= 9 {
			return l.Gzip
		}
		return gzip.DefaultCompression
	case LZ4:
		return max(0, min(l.LZ4, 17))
	case Zstd:
		return max(-7, min(l.Zstd, 22))
	}
	return 0
}

func compressStream(dst []byte, c Compression, level int, src []byte) ([]byte, error) {
	pool, _ := encoders.LoadOrStore(encoderKey{c, level}, &sync.Pool{})
	enc, _ := pool.(*sync.Pool).Get().(streamEncoder)
	out := &sink{buf: dst}
	if enc == nil {
		var err error
		if enc, err = newEncoder(c, level); err != nil {
			return dst, err
		}
	}
	enc.Reset(out)
	if _, err := enc.Write(src); err != nil {
		return dst, err
	}
	if err := enc.Close(); err != nil {
		return dst, err
	}
	pool.(*sync.Pool).Put(enc)
	return out.buf, nil
}

func newEncoder(c Compression, level int) (streamEncoder, error) {
	switch c {
	case Gzip:
		return gzip.NewWriterLevel(nil, level)
	case LZ4:
		w := lz4.NewWriter(nil)
		// Java's reader wants independent blocks; 64 KiB is what it writes.
		err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false),
			lz4.ConcurrencyOption(1), lz4.CompressionLevelOption(lz4Level(level)))
		return w, err
	default:
		return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)))
	}
}

// lz4Level maps the configured level, 1–17, to the library's ten steps. Kafka's
// default of 9 is its fast compressor, and so is ours.
func lz4Level(level int) lz4.CompressionLevel {
	switch {
	case level <= 9:
		return lz4.Fast
	case level <= 12:
		return lz4.Level3
	case level <= 15:
		return lz4.Level6
	default:
		return lz4.Level9
	}
}

func compressXerial(dst, src []byte) []byte {
	dst = append(dst, xerialMagic[:]...)
	dst = binary.BigEndian.AppendUint32(dst, 1)
	dst = binary.BigEndian.AppendUint32(dst, 1)
	for len(src) > 0 {
		block := src[:min(len(src), xerialBlock)]
		src = src[len(block):]
		at := len(dst)
		need := 4 + snappy.MaxEncodedLen(len(block))
		dst = append(dst, make([]byte, need)...)
		n := len(snappy.Encode(dst[at+4:], block))
		binary.BigEndian.PutUint32(dst[at:], uint32(n))
		dst = dst[:at+4+n]
	}
	return dst
}
