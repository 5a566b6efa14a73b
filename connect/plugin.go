package connect

import (
	"github.com/leatstream/leat/connect/config"
	"github.com/leatstream/leat/connect/data"
)

// Converter turns values into the bytes of a record's key or value and back.
// It is configured once and may then be used by many goroutines.
type Converter interface {
	// Configure takes the settings, without the "key.converter." prefix.
	Configure(props map[string]string, isKey bool) error
	// Encode gives the bytes to store; nil is a null key or value. The
	// returned slice is the caller's.
	Encode(topic string, schema *data.Schema, value any) ([]byte, error)
	// Decode gives the value of stored bytes. The value may keep parts of b,
	// so the caller must not change b afterwards.
	Decode(topic string, b []byte) (*data.Schema, any, error)
}

// Transform changes single records. It is configured once and used by one goroutine.
type Transform interface {
	// Config declares the settings.
	Config() *config.Def
	// Configure takes the settings, without the "transforms.name." prefix.
	Configure(props map[string]string) error
	// Apply returns the record to go on with: r itself, changed, or another
	// one. nil drops it.
	Apply(r *Record) (*Record, error)
}

// Predicate chooses records for a Transform. It is configured once and used by one goroutine.
type Predicate interface {
	// Config declares the settings.
	Config() *config.Def
	// Configure takes the settings, without the "predicates.name." prefix.
	Configure(props map[string]string) error
	// Test reports whether the record is chosen.
	Test(r *Record) (bool, error)
}
