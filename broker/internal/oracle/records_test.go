package oracle

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/leatstream/leat/broker/record"
)

// records writes fetched records. What a broker has compressed or timed is taken
// apart, since no two do it alike; all else is written as it is.
//
// A cut message at the end of a set of old messages is left out: Kafka fills up
// what conversion has made smaller.
func records(w *writer, v reflect.Value) string {
	b, _ := v.Interface().([]byte)
	switch m, _, err := record.NextMessage(b); {
	case m != nil:
		return messages(b)
	case errors.Is(err, record.ErrTruncated), len(b) > 12 && b[8] == 0x7f: // a size that no reader takes
		return "cut"
	}
	var out []string
	var err error
	own := false // the broker has timed something
	for rest := b; len(rest) > 0 && err == nil; {
		var batch record.Batch
		if batch, rest, err = record.Next(rest); err == nil {
			out = append(out, apart(batch))
			own = own || batch.TimestampType() == record.LogAppendTime
		}
	}
	if err != nil || !own && (len(out) != 1 || record.Batch(b).Compression() == record.None) {
		return w.rename(plain(v))
	}
	return strings.Join(out, " ")
}

// messages writes a set of messages of formats 0 and 1, wrappers with what they
// hold.
func messages(set []byte) string {
	var out []string
	for {
		m, rest, err := record.NextMessage(set)
		if errors.Is(err, record.ErrTruncated) || m == nil && err == nil {
			return strings.Join(out, " ")
		}
		if err == nil {
			err = m.CheckCRC()
		}
		timestamp, key, value, ferr := m.Fields()
		if err = errors.Join(err, ferr); err != nil {
			return strings.Join(append(out, err.Error()), " ")
		}
		content := fmt.Sprintf("%s=%s", part(key), part(value))
		if m.Compression() != record.None {
			inner, err := m.Inner(nil, 0)
			content = fmt.Sprintf("%v %s{%s%s}", m.Compression(), part(key), messages(inner), part(err))
		}
		out = append(out, fmt.Sprintf("format %d, %d at %s: %s", m.Magic(), m.Offset(), timed(m.TimestampType(), timestamp), content))
		set = rest
	}
}

// apart writes the header and the records of a batch.
func apart(b record.Batch) string {
	out := []string{fmt.Sprintf("batch %d to %d, epoch %d, attributes %x, from %d to %s, producer %d %d %d, %d records:",
		b.BaseOffset(), b.LastOffset(), b.LeaderEpoch(), b.Attributes(), b.BaseTimestamp(), timed(b.TimestampType(), b.MaxTimestamp()),
		b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), b.Count())}
	var it record.Iterator
	defer it.Close()
	err := it.Reset(b, 0)
	for err == nil && it.Next() {
		r := &it.Record
		out = append(out, fmt.Sprintf("%d at %s: %s=%s, %d headers", r.Offset, timed(b.TimestampType(), r.Timestamp), part(r.Key), part(r.Value), r.HeaderCount))
	}
	return strings.Join(out, " ") + part(errors.Join(err, it.Err(), b.CheckCRC()))
}

// timed writes a timestamp; the broker's own differ.
func timed(t record.TimestampType, ms int64) string {
	if t == record.LogAppendTime && ms > 0 {
		return "log append time"
	}
	return fmt.Sprint(ms)
}

// part writes bytes with null told apart, and an error if there is one.
func part(v any) string {
	switch v := v.(type) {
	case []byte:
		return plain(reflect.ValueOf(v))
	case error:
		return " " + v.Error()
	}
	return ""
}
