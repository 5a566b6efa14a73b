package message

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// MaxRecordSize bounds one field read from a stream, in bytes.
const MaxRecordSize = 64 << 20

// Sentinel errors of formats.
var (
	ErrFormat = errors.New("record format")
	ErrInput  = errors.New("input does not fit the format")
)

// verbs and what they stand for; the text is the help of the -f flags.
const verbs = "tkvpohdT"

// FormatHelp describes the format language.
const FormatHelp = `  %t topic   %k key      %v value     %p partition
  %o offset  %h headers  %d time      %T time in ms   %% percent sign
  %k{hex} %v{base64}: encoded bytes;  \n \t \r \\ \0 \xHH: special characters
  json, ndjson: one JSON document a line`

// segment is a verb, or literal text when verb is 0.
type segment struct {
	verb     byte
	encoding string // "", "hex" or "base64"
	literal  []byte
}

// Format is a compiled format text.
type Format struct {
	segments []segment
	json     bool
}

// ParseFormat compiles text. "json" and "ndjson" mean one JSON document a line.
func ParseFormat(text string) (*Format, error) {
	if text == "json" || text == "ndjson" {
		return &Format{json: true}, nil
	}
	f := &Format{}
	for text != "" {
		s, rest, err := parseSegment(text)
		if err != nil {
			return nil, err
		}
		f.append(s)
		text = rest
	}
	return f, nil
}

// append joins neighbouring literals, so that a delimiter is one segment.
func (f *Format) append(s segment) {
	if n := len(f.segments); s.verb == 0 && n > 0 && f.segments[n-1].verb == 0 {
		f.segments[n-1].literal = append(f.segments[n-1].literal, s.literal...)
		return
	}
	f.segments = append(f.segments, s)
}

func parseSegment(text string) (segment, string, error) {
	switch text[0] {
	case '\\':
		return parseEscape(text)
	case '%':
		return parseVerb(text)
	}
	end := strings.IndexAny(text, `\%`)
	if end < 0 {
		end = len(text)
	}
	return segment{literal: []byte(text[:end])}, text[end:], nil
}

func parseEscape(text string) (segment, string, error) {
	if len(text) < 2 {
		return segment{}, "", fmt.Errorf("%w: a lone backslash at the end", ErrFormat)
	}
	if text[1] == 'x' {
		if len(text) < 4 {
			return segment{}, "", fmt.Errorf(`%w: \x needs two hexadecimal digits`, ErrFormat)
		}
		b, err := hex.DecodeString(text[2:4])
		if err != nil {
			return segment{}, "", fmt.Errorf(`%w: \x needs two hexadecimal digits, found %q`, ErrFormat, text[2:4])
		}
		return segment{literal: b}, text[4:], nil
	}
	i := strings.IndexByte(`ntr\0`, text[1])
	if i < 0 {
		return segment{}, "", fmt.Errorf("%w: unknown escape %q", ErrFormat, text[:2])
	}
	return segment{literal: []byte{"\n\t\r\\\x00"[i]}}, text[2:], nil
}

func parseVerb(text string) (segment, string, error) {
	if len(text) < 2 {
		return segment{}, "", fmt.Errorf("%w: a lone %% at the end; write %%%%", ErrFormat)
	}
	verb, rest := text[1], text[2:]
	if verb == '%' {
		return segment{literal: []byte("%")}, rest, nil
	}
	if strings.IndexByte(verbs, verb) < 0 {
		return segment{}, "", fmt.Errorf("%w: unknown verb %%%c; the verbs are\n%s", ErrFormat, verb, FormatHelp)
	}
	s := segment{verb: verb}
	if strings.HasPrefix(rest, "{") {
		name, after, ok := strings.Cut(rest[1:], "}")
		if !ok || name != "hex" && name != "base64" || verb != 'k' && verb != 'v' {
			return segment{}, "", fmt.Errorf("%w: after %%%c: want {hex} or {base64}, and only behind %%k and %%v", ErrFormat, verb)
		}
		s.encoding, rest = name, after
	}
	return s, rest, nil
}

// Append writes r to dst as the format says.
func (f *Format) Append(dst []byte, r *kgo.Record) []byte {
	if f.json {
		return appendJSON(dst, FromRecord(r))
	}
	for _, s := range f.segments {
		switch s.verb {
		case 0:
			dst = append(dst, s.literal...)
		case 't':
			dst = append(dst, r.Topic...)
		case 'k':
			dst = appendBytes(dst, r.Key, s.encoding)
		case 'v':
			dst = appendBytes(dst, r.Value, s.encoding)
		case 'p':
			dst = strconv.AppendInt(dst, int64(r.Partition), 10)
		case 'o':
			dst = strconv.AppendInt(dst, r.Offset, 10)
		case 'd':
			dst = r.Timestamp.UTC().AppendFormat(dst, time.RFC3339Nano)
		case 'T':
			dst = strconv.AppendInt(dst, r.Timestamp.UnixMilli(), 10)
		case 'h':
			dst = appendHeaders(dst, r.Headers)
		}
	}
	return dst
}

func appendBytes(dst, b []byte, encoding string) []byte {
	switch encoding {
	case "hex":
		return hex.AppendEncode(dst, b)
	case "base64":
		return base64.StdEncoding.AppendEncode(dst, b)
	}
	return append(dst, b...)
}

func appendHeaders(dst []byte, headers []kgo.RecordHeader) []byte {
	for i, h := range headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, h.Key...)
		dst = append(dst, '=')
		dst = append(dst, h.Value...)
	}
	return dst
}

// Reader reads records from a stream, each as its format says.
type Reader struct {
	json     bool
	segments []segment // ends in a literal
	in       *bufio.Reader
	count    int // records read, for messages
}

// NewReader checks that f can be read: every field must be followed by text
// that ends it (a newline is added to the last), and only key, value, partition
// and time can be given.
func NewReader(f *Format, in io.Reader) (*Reader, error) {
	r := &Reader{json: f.json, in: bufio.NewReaderSize(in, 64<<10)}
	if f.json {
		return r, nil
	}
	if err := f.readable(); err != nil {
		return nil, err
	}
	r.segments = slices.Clone(f.segments)
	if r.segments[len(r.segments)-1].verb != 0 {
		r.segments = append(r.segments, segment{literal: []byte("\n")})
	}
	return r, nil
}

func (f *Format) readable() error {
	if len(f.segments) == 0 {
		return fmt.Errorf("%w: it is empty", ErrFormat)
	}
	for i, s := range f.segments {
		if s.verb != 0 && strings.IndexByte("kvpT", s.verb) < 0 {
			return fmt.Errorf("%w: %%%c cannot be produced; only %%k, %%v, %%p and %%T can", ErrFormat, s.verb)
		}
		if s.verb != 0 && i+1 < len(f.segments) && f.segments[i+1].verb != 0 {
			return fmt.Errorf("%w: %%%c needs text after it that ends it", ErrFormat, s.verb)
		}
	}
	return nil
}

// Read returns the next record, or io.EOF at the end of the input. Its
// partition is -1 unless the input names one.
func (r *Reader) Read() (*kgo.Record, error) {
	r.count++
	if r.json {
		return r.readJSON()
	}
	record := &kgo.Record{Partition: -1}
	for i := 0; i < len(r.segments); i++ {
		s, first := r.segments[i], i == 0
		if s.verb == 0 {
			if err := r.expect(s.literal, first); err != nil {
				return nil, err
			}
			continue
		}
		i++ // the literal that ends the field
		field, err := r.until(r.segments[i].literal, first, i == len(r.segments)-1)
		if err != nil {
			return nil, err
		}
		if err := setField(record, s, field); err != nil {
			return nil, fmt.Errorf("%w: record %d: %w", ErrInput, r.count, err)
		}
	}
	return record, nil
}

func (r *Reader) readJSON() (*kgo.Record, error) {
	for {
		line, err := r.until([]byte("\n"), true, true)
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		record, err := ParseJSON(line)
		if err != nil {
			return nil, fmt.Errorf("%w: record %d: %w", ErrInput, r.count, err)
		}
		return record, nil
	}
}

// expect consumes literal text; the end of the input is fine only before it.
func (r *Reader) expect(literal []byte, first bool) error {
	for i, want := range literal {
		got, err := r.in.ReadByte()
		if err == io.EOF && first && i == 0 {
			return io.EOF
		}
		if err != nil || got != want {
			return fmt.Errorf("%w: record %d: expected %q", ErrInput, r.count, literal)
		}
	}
	return nil
}

// until reads up to delimiter and drops it. The end of the input ends the last
// field of a record too, and is io.EOF before the first.
func (r *Reader) until(delimiter []byte, first, last bool) ([]byte, error) {
	var field []byte
	tail := delimiter[len(delimiter)-1]
	for {
		chunk, err := r.in.ReadSlice(tail)
		field = append(field, chunk...)
		if len(field) > MaxRecordSize {
			return nil, fmt.Errorf("%w: record %d: more than %d bytes without %q", ErrInput, r.count, MaxRecordSize, delimiter)
		}
		if err == nil && bytes.HasSuffix(field, delimiter) {
			return field[:len(field)-len(delimiter)], nil
		}
		switch {
		case err == nil || err == bufio.ErrBufferFull:
			continue
		case err != io.EOF:
			return nil, err
		case len(field) == 0 && first:
			return nil, io.EOF
		case last:
			return field, nil
		}
		return nil, fmt.Errorf("%w: record %d: the input ends before %q", ErrInput, r.count, delimiter)
	}
}

func setField(r *kgo.Record, s segment, field []byte) error {
	var err error
	switch s.encoding {
	case "hex":
		field, err = hex.DecodeString(string(field))
	case "base64":
		field, err = base64.StdEncoding.DecodeString(string(field))
	}
	if err != nil {
		return err
	}
	if field == nil {
		field = []byte{}
	}
	switch s.verb {
	case 'k':
		r.Key = field
	case 'v':
		r.Value = field
	case 'p':
		n, err := strconv.ParseInt(string(field), 10, 32)
		if err != nil || n < 0 {
			return fmt.Errorf("partition %q", field)
		}
		r.Partition = int32(n)
	case 'T':
		ms, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil || ms < 0 {
			return fmt.Errorf("time %q", field)
		}
		r.Timestamp = time.UnixMilli(ms)
	}
	return nil
}
