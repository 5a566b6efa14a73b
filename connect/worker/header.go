package worker

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/data"
)

// encodeHeaders writes header values as text, numbers in plain notation and
// collections as JSON, as Kafka Connect's simple header converter does.
func encodeHeaders(hs []connect.Header) ([]kgo.RecordHeader, error) {
	if len(hs) == 0 {
		return nil, nil
	}
	out := make([]kgo.RecordHeader, len(hs))
	for i, h := range hs {
		out[i].Key = h.Name
		switch v := h.Value.(type) {
		case nil:
		case string:
			out[i].Value = []byte(v)
		case []byte:
			out[i].Value = v
		default:
			b, err := data.AppendJSON(nil, h.Schema, v, data.JSONOptions{})
			if err != nil {
				return nil, fmt.Errorf("header %s: %w", h.Name, err)
			}
			out[i].Value = b
		}
	}
	return out, nil
}

// decodeHeaders gives header values as text.
func decodeHeaders(hs []kgo.RecordHeader) []connect.Header {
	if len(hs) == 0 {
		return nil
	}
	out := make([]connect.Header, len(hs))
	for i, h := range hs {
		out[i] = connect.Header{Name: h.Key}
		if h.Value != nil {
			out[i].Value, out[i].Schema = string(h.Value), data.StringSchema
		}
	}
	return out
}
