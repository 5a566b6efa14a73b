package convert

import (
	"fmt"
	"strings"
	"sync"

	"github.com/leatstream/leat/connect/config"
	"github.com/leatstream/leat/connect/data"
)

// JSON converts values to and from JSON. With schemas.enable=true (the
// default, as in Kafka Connect) a document is the envelope
// {"schema": …, "payload": …}; otherwise it is the plain value.
type JSON struct {
	envelope bool
	options  data.JSONOptions

	mu      sync.Mutex
	encoded map[*data.Schema][]byte // bounded by cacheSize
	parsed  map[string]*data.Schema // by canonical text; bounded by cacheSize
	limit   int
}

// Config declares the settings.
func (*JSON) Config() *config.Def {
	return config.New(
		config.Key{Name: "schemas.enable", Type: config.Boolean, Default: true, Importance: config.High,
			Doc: "Include the schema in every document."},
		config.Key{Name: "schemas.cache.size", Type: config.Int, Default: 1000, Check: config.AtLeast(0), Importance: config.High,
			Doc: "How many schemas are kept in each direction."},
		config.Key{Name: "decimal.format", Type: config.String, Default: "BASE64", Check: config.OneOf("BASE64", "NUMERIC"), Importance: config.Low,
			Doc: "How decimals are written."},
		config.Key{Name: "replace.null.with.default", Type: config.Boolean, Default: true, Importance: config.Low,
			Doc: "Write a field's default where its value is null."},
	)
}

// Configure implements connect.Converter.
func (j *JSON) Configure(props map[string]string, _ bool) error {
	v, err := j.Config().Parse(props)
	if err != nil {
		return err
	}
	j.envelope = v.Bool("schemas.enable")
	j.limit = v.Int("schemas.cache.size")
	j.options.NumericDecimal = strings.EqualFold(v.String("decimal.format"), "NUMERIC")
	j.options.KeepNullDefault = !v.Bool("replace.null.with.default")
	j.encoded = map[*data.Schema][]byte{}
	j.parsed = map[string]*data.Schema{}
	return nil
}

// Encode implements connect.Converter.
func (j *JSON) Encode(_ string, s *data.Schema, v any) ([]byte, error) {
	if v == nil && s == nil {
		return nil, nil
	}
	dst := make([]byte, 0, 256)
	if !j.envelope {
		if v == nil {
			return nil, nil
		}
		return wrapped(data.AppendJSON(dst, s, v, j.options))
	}
	text, err := j.schemaText(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConvert, err)
	}
	dst = append(append(append(dst, `{"schema":`...), text...), `,"payload":`...)
	dst, err = data.AppendJSON(dst, s, v, j.options)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConvert, err)
	}
	return append(dst, '}'), nil
}

func wrapped(b []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConvert, err)
	}
	return b, nil
}

func (j *JSON) schemaText(s *data.Schema) ([]byte, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if text, ok := j.encoded[s]; ok {
		return text, nil
	}
	text, err := data.AppendSchema(nil, s)
	if err == nil && len(j.encoded) < j.limit {
		j.encoded[s] = text
	}
	return text, err
}

// Decode implements connect.Converter.
func (j *JSON) Decode(_ string, b []byte) (*data.Schema, any, error) {
	if b == nil {
		return nil, nil, nil
	}
	doc, err := data.ParseJSON(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrConvert, err)
	}
	if !j.envelope {
		return nil, doc, nil
	}
	m, ok := doc.(map[string]any)
	_, hasSchema := m["schema"]
	payload, hasPayload := m["payload"]
	if !ok || len(m) != 2 || !hasSchema || !hasPayload {
		return nil, nil, fmt.Errorf("%w: with schemas.enable the document must hold exactly the members \"schema\" and \"payload\"; plain JSON needs schemas.enable=false", ErrConvert)
	}
	s, err := j.schema(m["schema"])
	if err != nil {
		return nil, nil, fmt.Errorf("%w: schema: %w", ErrConvert, err)
	}
	v, err := data.FromJSON(s, payload)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrConvert, err)
	}
	return s, v, nil
}

// schema finds the schema of a parsed document, so that equal documents share
// one *data.Schema and readers can compare pointers.
func (j *JSON) schema(doc any) (*data.Schema, error) {
	if doc == nil {
		return nil, nil
	}
	text, err := data.AppendJSON(nil, nil, doc, data.JSONOptions{})
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if s, ok := j.parsed[string(text)]; ok {
		return s, nil
	}
	s, err := data.ParseSchema(doc)
	if err == nil && len(j.parsed) < j.limit {
		j.parsed[string(text)] = s
	}
	return s, err
}
