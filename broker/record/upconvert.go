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
// messages of format 0 or 1, and tells how many they are. All messages have one
// format, and a compressed one, which gives the batch its codec, stands alone.
// Records without a timestamp get NoTimestamp. A partial message at the end is
// left out; without any whole message dst comes back as it was. A compressed
// message may take limit bytes when it is decompressed (0:
// DefaultMaxDecompressed).
//
// ErrCorruptBatch says that the bytes are damaged; ErrInvalidRecord,
// ErrInvalidTimestamp and ErrUnsupportedCompression that their maker broke a
// rule.
func UpConvert(dst, set []byte, levels Levels, limit int) (out []byte, records int, err error) {
	first, rest, err := nextWhole(set)
	if err != nil || first == nil {
		return dst, 0, err
	}
	opts := NewOptions()
	opts.Levels, opts.Compression = levels, first.Compression()
	w := builders.Get().(*Builder)
	defer putBuilder(w)
	w.Reset(opts)
	for m := first; m != nil; {
		if err := w.addMessage(m, limit); err != nil {
			return dst, 0, err
		}
		if m, rest, err = nextWhole(rest); err == nil && m != nil {
			err = follows(m, first)
		}
		if err != nil {
			return dst, 0, err
		}
	}
	out, err = w.Build(dst)
	return out, w.Count(), err
}

// nextWhole is NextMessage for a set that may end in a partial message.
func nextWhole(set []byte) (m Message, rest []byte, err error) {
	m, rest, err = NextMessage(set)
	if errors.Is(err, ErrTruncated) {
		err = nil
	}
	return m, rest, err
}

// follows checks that m may stand in one set with the message before it.
func follows(m, before Message) error {
	switch {
	case m.Magic() != before.Magic():
		return fmt.Errorf("%w: message of format %d behind one of format %d", ErrInvalidRecord, m.Magic(), before.Magic())
	case m.Compression() != None || before.Compression() != None:
		return fmt.Errorf("%w: compressed message among others", ErrInvalidRecord)
	}
	return nil
}

// addMessage adds the record or records of m.
func (w *Builder) addMessage(m Message, limit int) error {
	timestamp, key, value, err := m.open()
	if err != nil {
		return err
	}
	if m.Compression() == None {
		w.Append(timestamp, key, value)
		return nil
	}
	plain := getScratch()
	defer putScratch(plain)
	if *plain, err = m.Inner((*plain)[:0], limit); err != nil {
		return err
	}
	return w.addInner(*plain, m)
}

// addInner adds the messages inside of a wrapper. Of format 1, some producers
// gave the wrapper the offset 0; else it is not below that of the last message.
func (w *Builder) addInner(set []byte, wrapper Message) error {
	if len(set) == 0 {
		return fmt.Errorf("%w: compressed message without messages", ErrInvalidRecord)
	}
	var last int64
	for len(set) > 0 {
		m, rest, err := NextMessage(set)
		switch {
		case errors.Is(err, ErrTruncated):
			return fmt.Errorf("%w: compressed message ends inside of a message", ErrInvalidRecord)
		case err != nil:
			return err
		case m.Magic() != wrapper.Magic():
			return fmt.Errorf("%w: message of format %d in one of format %d", ErrInvalidRecord, m.Magic(), wrapper.Magic())
		case m.Compression() != None:
			return fmt.Errorf("%w: compressed message in a compressed message", ErrInvalidRecord)
		}
		timestamp, key, value, err := m.open()
		if err != nil {
			return err
		}
		w.Append(timestamp, key, value)
		last, set = m.Offset(), rest
	}
	if offset := wrapper.Offset(); wrapper.Magic() > 0 && offset != 0 && offset < last {
		return fmt.Errorf("%w: compressed message with offset %d holds offset %d", ErrInvalidRecord, offset, last)
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
	timestamp, key, value, err = m.Fields()
	if err == nil && timestamp < NoTimestamp {
		return 0, nil, nil, fmt.Errorf("%w: %d", ErrInvalidTimestamp, timestamp)
	}
	return timestamp, key, value, err
}
