package output

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"
)

type part struct {
	Number   int32   `json:"partition" col:"PARTITION"`
	Replicas []int32 `json:"replicas" col:"REPLICAS"`
}

type thing struct {
	Name   string    `json:"name" col:"NAME,name"`
	Size   int64     `json:"size_bytes" col:"SIZE,bytes"`
	Lag    *int64    `json:"lag" col:"LAG"`
	Made   time.Time `json:"made" col:"MADE,wide"`
	Parts  []part    `json:"parts"`
	Hidden string    `json:"hidden,omitempty"`
}

type detail struct {
	Name  string  `json:"name" col:"Name,name"`
	Rate  float64 `json:"rate" col:"Rate"`
	Wide  string  `json:"wide" col:"Only wide,wide"`
	Parts []part  `json:"parts" col:"Partitions"`
}

func things() []thing {
	lag := int64(7)
	return []thing{
		{Name: "orders", Size: 1536, Lag: &lag, Made: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Parts: []part{{1, []int32{1, 2}}}},
		{Name: "ĉi\n<tie>", Size: -1},
	}
}

func TestList(t *testing.T) {
	tests := []struct{ format, want string }{
		{Table, "NAME          SIZE  LAG\norders     1.5 KiB    7\nĉi\\n<tie>        -    -\n"},
		{Wide, "NAME          SIZE  LAG  MADE\norders     1.5 KiB    7  2026-01-02T03:04:05Z\nĉi\\n<tie>        -    -  -\n"},
		{NDJSON, `{"name":"orders","size_bytes":1536,"lag":7,"made":"2026-01-02T03:04:05Z","parts":[{"partition":1,"replicas":[1,2]}]}
{"name":"ĉi\n<tie>","size_bytes":-1,"lag":null,"made":"0001-01-01T00:00:00Z","parts":null}
`},
		{CSV, "name,size_bytes,lag,made\norders,1536,7,2026-01-02T03:04:05Z\n\"ĉi\n<tie>\",-1,,\n"},
		{Name, "orders\nĉi\n<tie>\n"},
		{"template={{.name}} {{.size_bytes}}", "orders 1536\nĉi\n<tie> -1\n"},
		{Help, `[{
  "name": string
  "size_bytes": int64
  "lag": int64?
  "made": time (RFC 3339)
  "parts": [{
    "partition": int32
    "replicas": [int32]
  }]
  "hidden": string (may be absent)
}]
`},
		{YAML, `- name: orders
  size_bytes: 1536
  lag: 7
  made: "2026-01-02T03:04:05Z"
  parts:
    - partition: 1
      replicas:
        - 1
        - 2
- name: |-
    ĉi
    <tie>
  size_bytes: -1
  lag: null
  made: "0001-01-01T00:00:00Z"
  parts: null
`},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		if err := List(Printer{Format: tt.format, Out: &out}, things()); err != nil {
			t.Errorf("%s: %v", tt.format, err)
		}
		if out.String() != tt.want {
			t.Errorf("%s:\n%s\nwant:\n%s", tt.format, out.String(), tt.want)
		}
	}
}

func TestEmptyList(t *testing.T) {
	tests := []struct{ format, want string }{
		{Table, "NAME  SIZE  LAG\n"}, {JSON, "[]\n"}, {NDJSON, ""}, {YAML, "[]\n"}, {CSV, "name,size_bytes,lag,made\n"}, {Name, ""},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		if err := List[thing](Printer{Format: tt.format, Out: &out}, nil); err != nil || out.String() != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.format, out.String(), err, tt.want)
		}
	}
}

func TestOne(t *testing.T) {
	v := detail{Name: "n", Rate: 1.25, Wide: "w", Parts: []part{{0, []int32{1}}, {10, nil}}}
	tests := []struct{ format, want string }{
		{Table, "Name  n\nRate  1.25\n\nPartitions\n  PARTITION  REPLICAS\n          0  1\n         10  -\n"},
		{JSON, "{\n  \"name\": \"n\",\n  \"rate\": 1.25,\n  \"wide\": \"w\",\n  \"parts\": [\n    {\n      \"partition\": 0,\n      \"replicas\": [\n        1\n      ]\n    },\n    {\n      \"partition\": 10,\n      \"replicas\": null\n    }\n  ]\n}\n"},
		{Name, "n\n"},
		{"template={{.rate}}", "1.25\n"},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		if err := One(Printer{Format: tt.format, Out: &out}, v); err != nil || out.String() != tt.want {
			t.Errorf("%s:\n%s%v\nwant:\n%s", tt.format, out.String(), err, tt.want)
		}
	}
}

func TestFormatErrors(t *testing.T) {
	for _, format := range []string{"xml", "template={{", "template={{.nothing}}"} {
		if err := List(Printer{Format: format, Out: io.Discard}, things()); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", format, err)
		}
	}
	if err := List(Printer{Format: Name, Out: io.Discard}, []part{{}}); !errors.Is(err, ErrFormat) {
		t.Errorf("a list without names: %v", err)
	}
	if Check("yaml") != nil || Check("template={{.}}") != nil || Check("Table") == nil {
		t.Error("Check is wrong")
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriteErrors(t *testing.T) {
	for _, format := range Formats() {
		if err := List(Printer{Format: format, Out: brokenPipe{}}, things()); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: the write error was lost: %v", format, err)
		}
	}
}

func TestBytes(t *testing.T) {
	tests := []struct {
		size int64
		want string
	}{{-1, "-"}, {0, "0 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {10 << 20, "10.0 MiB"}, {1 << 62, "4.0 EiB"}}
	for _, tt := range tests {
		if got := Bytes(tt.size); got != tt.want {
			t.Errorf("Bytes(%d) = %q, want %q", tt.size, got, tt.want)
		}
	}
}
