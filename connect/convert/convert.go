package convert

import (
	"errors"
	"fmt"

	"github.com/leatstream/leat/connect"
)

// ErrConvert is wrapped by every error about a value that cannot be converted.
var ErrConvert = errors.New("convert: cannot convert")

// ErrUnknown is wrapped by New for a class that is no converter.
var ErrUnknown = errors.New("convert: unknown converter")

// Plugin names a converter; Class is the Java class it stands in for.
type Plugin struct {
	Name  string
	Class string
	New   func() connect.Converter
}

// Plugins lists the converters.
func Plugins() []Plugin {
	return []Plugin{
		{"json", "org.apache.kafka.connect.json.JsonConverter", func() connect.Converter { return &JSON{} }},
		{"string", "org.apache.kafka.connect.storage.StringConverter", func() connect.Converter { return &String{} }},
		{"bytes", "org.apache.kafka.connect.converters.ByteArrayConverter", func() connect.Converter { return &Bytes{} }},
	}
}

// New builds and configures the converter named by its short name, its Java
// class or the last part of the Java class ("JsonConverter").
func New(class string, props map[string]string, isKey bool) (connect.Converter, error) {
	for _, p := range Plugins() {
		if class == p.Name || class == p.Class || class == simpleName(p.Class) {
			c := p.New()
			return c, c.Configure(props, isKey)
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknown, class)
}

func simpleName(class string) string {
	for i := len(class) - 1; i >= 0; i-- {
		if class[i] == '.' {
			return class[i+1:]
		}
	}
	return class
}
