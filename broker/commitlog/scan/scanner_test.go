package scan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/record"
)

// batches gives count batches, the larger ones beyond what a scanner keeps.
func batches(t *testing.T, count int) (data []byte, at []int64) {
	t.Helper()
	for i := range count {
		var b record.Builder
		b.Reset(record.NewOptions())
		b.Append(int64(i), nil, []byte(strings.Repeat(fmt.Sprint(i%10), 1+i*i*i*50)))
		at = append(at, int64(len(data)))
		var err error
		if data, err = b.Build(data); err != nil {
			t.Fatal(err)
		}
	}
	return data, at
}

func TestScanner(t *testing.T) {
	data, at := batches(t, 50)
	for _, chunk := range []int{record.HeaderSize, HeaderChunk, BatchChunk} {
		s := New(bytes.NewReader(data), 0, int64(len(data)), chunk)
		for i, pos := range at {
			_, size, err := s.Header()
			if err != nil || s.Pos != pos {
				t.Fatalf("chunk %d, batch %d: position %d, %v", chunk, i, s.Pos, err)
			}
			if i%3 == 0 {
				if b, err := s.Batch(); err != nil || b.CheckCRC() != nil || b.MaxTimestamp() != int64(i) {
					t.Fatalf("chunk %d, batch %d: %v", chunk, i, err)
				}
			}
			s.Skip(size)
		}
		if _, _, err := s.Header(); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
		s.Free()
	}
}

func TestBatchesEnd(t *testing.T) {
	data, at := batches(t, 5)
	count := 0
	visit := func(int64, record.Batch) error { count++; return nil }
	if pos, err := Batches(bytes.NewReader(data), int64(len(data)), visit); err != nil || pos != int64(len(data)) || count != 5 {
		t.Errorf("%d batches, position %d, %v", count, pos, err)
	}
	if pos, err := Batches(bytes.NewReader(data), int64(len(data))-1, visit); !BadBytes(err) || pos != at[4] {
		t.Errorf("cut: position %d, %v", pos, err)
	}
	if pos, err := Batches(bytes.NewReader(data[:len(data)-1]), int64(len(data)), visit); !BadBytes(err) || pos != at[4] {
		t.Errorf("a file that is shorter than told: position %d, %v", pos, err)
	}
	data[at[1]+16] = 9
	if pos, err := Batches(bytes.NewReader(data), int64(len(data)), visit); !BadBytes(err) || pos != at[1] {
		t.Errorf("an unknown format: position %d, %v", pos, err)
	}
	boom := errors.New("boom")
	if pos, err := Batches(bytes.NewReader(data), int64(len(data)), func(int64, record.Batch) error { return boom }); err != boom || BadBytes(err) || pos != 0 {
		t.Errorf("a visit that fails: position %d, %v", pos, err)
	}
	if pos, err := Batches(bytes.NewReader(data), int64(len(data)), func(int64, record.Batch) error { return io.EOF }); err != nil || pos != 0 {
		t.Errorf("a visit that has enough: position %d, %v", pos, err)
	}
}
