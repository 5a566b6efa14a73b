package message

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrJSON marks a line that is not a message in JSON.
var ErrJSON = errors.New("not a message in JSON")

// Message is the JSON form of a record. Text that is valid UTF-8 is in key and
// value; other bytes are in key_base64 and value_base64, with key or value null.
// What ndjson consumption writes, ndjson production reads back byte by byte.
type Message struct {
	Topic       string   `json:"topic"`
	Partition   int32    `json:"partition"`
	Offset      int64    `json:"offset"`
	Timestamp   string   `json:"ts"`
	TimestampMS int64    `json:"ts_ms"`
	Key         *string  `json:"key"`
	Value       *string  `json:"value"`
	KeyBase64   string   `json:"key_base64,omitempty"`
	ValueBase64 string   `json:"value_base64,omitempty"`
	Headers     []Header `json:"headers"`
}

// Header of a message; Value is null when the bytes are absent or no text.
type Header struct {
	Key         string  `json:"key"`
	Value       *string `json:"value"`
	ValueBase64 string  `json:"value_base64,omitempty"`
}

// FromRecord copies what a record holds into its JSON form.
func FromRecord(r *kgo.Record) Message {
	m := Message{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		Timestamp: r.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z"), TimestampMS: r.Timestamp.UnixMilli(),
		Headers: make([]Header, len(r.Headers)),
	}
	m.Key, m.KeyBase64 = encodeBytes(r.Key)
	m.Value, m.ValueBase64 = encodeBytes(r.Value)
	for i, h := range r.Headers {
		m.Headers[i].Key = h.Key
		m.Headers[i].Value, m.Headers[i].ValueBase64 = encodeBytes(h.Value)
	}
	return m
}

func encodeBytes(b []byte) (text *string, encoded string) {
	if b == nil {
		return nil, ""
	}
	if !utf8.Valid(b) {
		return nil, base64.StdEncoding.EncodeToString(b)
	}
	s := string(b)
	return &s, ""
}

// inputMessage is what production from JSON accepts: everything is optional, and
// key and value may be any JSON, which is then sent in its compact form.
type inputMessage struct {
	Partition   *int32          `json:"partition"`
	TimestampMS int64           `json:"ts_ms"`
	Key         json.RawMessage `json:"key"`
	Value       json.RawMessage `json:"value"`
	KeyBase64   string          `json:"key_base64"`
	ValueBase64 string          `json:"value_base64"`
	Headers     []Header        `json:"headers"`
}

// ParseJSON reads one message. The partition is -1 when the text names none.
func ParseJSON(line []byte) (*kgo.Record, error) {
	var in inputMessage
	if err := json.Unmarshal(line, &in); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJSON, err)
	}
	r := &kgo.Record{Partition: -1}
	if in.Partition != nil {
		r.Partition = *in.Partition
	}
	if in.TimestampMS > 0 {
		r.Timestamp = time.UnixMilli(in.TimestampMS)
	}
	var err error
	if r.Key, err = decodeField(in.Key, in.KeyBase64); err != nil {
		return nil, fmt.Errorf("%w: key: %w", ErrJSON, err)
	}
	if r.Value, err = decodeField(in.Value, in.ValueBase64); err != nil {
		return nil, fmt.Errorf("%w: value: %w", ErrJSON, err)
	}
	for _, h := range in.Headers {
		header := kgo.RecordHeader{Key: h.Key}
		if h.Value != nil {
			header.Value = []byte(*h.Value)
		} else if h.ValueBase64 != "" {
			if header.Value, err = base64.StdEncoding.DecodeString(h.ValueBase64); err != nil {
				return nil, fmt.Errorf("%w: header %s: %w", ErrJSON, h.Key, err)
			}
		}
		r.Headers = append(r.Headers, header)
	}
	return r, nil
}

func decodeField(raw json.RawMessage, encoded string) ([]byte, error) {
	if encoded != "" {
		return base64.StdEncoding.DecodeString(encoded)
	}
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	if raw[0] != '"' {
		return raw, nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	return []byte(s), nil
}

// appendJSON writes m and a newline, without escaping < and > for HTML.
func appendJSON(dst []byte, m Message) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		panic("message: plain texts and numbers must encode: " + err.Error())
	}
	return append(dst, b.Bytes()...)
}
