package record

import (
	"errors"
	"fmt"
	"sync"
)

// builders holds Builders that are not in use.
var builders = sync.Pool{New: func() any { return new(Builder) }}

func putBuilder(w *Builder) {
	if cap(w.records) <= maxScratch {
		builders.Put(w)
	}
}

// UpConvert appends to dst one batch of format 2 with the records of a set of
// messages of format 0 and 1, and tells how many they are. Records without a
// timestamp get NoTimestamp. The batch has the codec of the last compressed
// message, or none. A partial message at the end is left out; without any whole
// message dst comes back as it was. Decompressed messages may take limit bytes
// together (0: DefaultMaxDecompressed).
//
// ErrCorruptBatch says that the bytes are damaged; ErrInvalidRecord,
// ErrInvalidTimestamp and ErrUnsupportedCompression that their maker broke a
// rule.
func UpConvert(dst, set []byte, levels Levels, limit int) (out []byte, records int, err error) {
	if limit <= 0 {
		limit = DefaultMaxDecompressed
	}
	opts := NewOptions()
	opts.Levels = levels
	if opts.Compression, err = codecOf(set); err != nil {
		return dst, 0, err
	}
	w := builders.Get().(*Builder)
	defer putBuilder(w)
	w.Reset(opts)
	plain := getScratch()
	defer putScratch(plain)
	for rest := set; ; {
		var m Message
		m, rest, err = NextMessage(rest)
		if errors.Is(err, ErrTruncated) || err == nil && m == nil {
			break
		}
		if err != nil {
			return dst, 0, err
		}
		if err := w.addMessage(m, plain, limit-w.Size()); err != nil {
			return dst, 0, err
		}
	}
	if w.Count() == 0 {
		return dst, 0, nil
	}
	out, err = w.Build(dst)
	return out, w.Count(), err
}

// codecOf finds the codec of the last compressed message.
func codecOf(set []byte) (c Compression, err error) {
	for {
		m, rest, err := NextMessage(set)
		if errors.Is(err, ErrTruncated) || err == nil && m == nil {
			return c, nil
		}
		if err != nil {
			return c, err
		}
		if m.Compression() != None {
			c = m.Compression()
		}
		set = rest
	}
}

// addMessage adds the record or records of m; plain is scratch.
func (w *Builder) addMessage(m Message, plain *[]byte, limit int) error {
	timestamp, key, value, err := m.open()
	if err != nil {
		return err
	}
	codec := m.Compression()
	if codec == None {
		w.Append(timestamp, key, value)
		return nil
	}
	if value == nil {
		return fmt.Errorf("%w: compressed message without a value", ErrInvalidRecord)
	}
	if limit <= 0 {
		return ErrTooLarge
	}
	if *plain, err = decompressOld((*plain)[:0], codec, m.Magic(), value, limit); err != nil {
		return err
	}
	return w.addInner(*plain, m.Magic())
}

// addInner adds the messages of a wrapper of the given format.
func (w *Builder) addInner(set []byte, magic int8) error {
	if len(set) == 0 {
		return fmt.Errorf("%w: compressed message without messages", ErrInvalidRecord)
	}
	for len(set) > 0 {
		m, rest, err := NextMessage(set)
		switch {
		case errors.Is(err, ErrTruncated):
			return fmt.Errorf("%w: compressed message ends inside of a message", ErrInvalidRecord)
		case err != nil:
			return err
		case m.Magic() != magic:
			return fmt.Errorf("%w: message of format %d in one of format %d", ErrInvalidRecord, m.Magic(), magic)
		case m.Compression() != None:
			return fmt.Errorf("%w: compressed message in a compressed message", ErrInvalidRecord)
		}
		timestamp, key, value, err := m.open()
		if err != nil {
			return err
		}
		w.Append(timestamp, key, value)
		set = rest
	}
	return nil
}

// open checks a producer's message and takes it apart.
func (m Message) open() (timestamp int64, key, value []byte, err error) {
	if err := m.CheckCRC(); err != nil {
		return 0, nil, nil, err
	}
	if m.TimestampType() == LogAppendTime {
		return 0, nil, nil, fmt.Errorf("%w: a producer may not set LogAppendTime", ErrInvalidTimestamp)
	}
	return m.Fields()
}

// decompressOld is Decompress for the value of a wrapper.
func decompressOld(dst []byte, c Compression, magic int8, src []byte, limit int) ([]byte, error) {
	switch {
	case c > LZ4:
		return dst, fmt.Errorf("%w: %v in message format %d", ErrUnsupportedCompression, c, magic)
	case c == LZ4 && magic == 0:
		return decompressLZ4(dst, mendedLZ4(src), limit)
	}
	return Decompress(dst, c, src, limit)
}
