package conf

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"
)

// delimiter of the koanf tree. Configuration keys contain dots and one key is
// often the prefix of another, so it must be a byte that never occurs in them.
const delimiter = "\x1f"

// Names of the layers, as shown to users.
const (
	LayerDefault  = "default"
	LayerFile     = "file"
	LayerEnv      = "environment"
	LayerOverride = "override"
	LayerFlag     = "flag"
)

// Sentinel errors of Load.
var (
	ErrOverride   = errors.New("override is not key=value")
	ErrUnknownKey = errors.New("unknown configuration key")
)

// Table tells which keys exist. broker/metadata owns the broker's table.
type Table interface {
	// Known reports whether key is defined, by name or by a family of names
	// such as listener.name.*.
	Known(key string) bool
	// Keys lists the defined names; they are proposed for misspelt ones.
	Keys() []string
}

// Source names everything that Load merges.
type Source struct {
	Defaults  map[string]string // weakest; often nil, as the table holds defaults
	File      string            // path of a .properties or .yaml file; "" for none
	Environ   []string          // "NAME=value", as from os.Environ
	Overrides []string          // "key=value" of --override, in order
	Flags     map[string]string // keys set by flags of their own
	Table     Table             // nil: every key is accepted
	Strict    bool              // an unknown key fails instead of being listed
}

// Settings are merged keys, each with the layer that set it. They do not change
// after Load and may be read concurrently.
type Settings struct {
	tree    *koanf.Koanf
	origin  map[string]string
	unknown []Unknown
}

// Unknown is a key that the table does not define.
type Unknown struct {
	Key     string
	Layer   string
	Nearest string // the defined key most like it, or ""
}

func (u Unknown) String() string {
	if u.Nearest == "" {
		return fmt.Sprintf("%s (from %s)", u.Key, u.Layer)
	}
	return fmt.Sprintf("%s (from %s; did you mean %s?)", u.Key, u.Layer, u.Nearest)
}

// Load merges the layers of src. It reports a file that cannot be read or
// parsed, an override without '=', and in strict mode every unknown key at once.
func Load(src Source) (*Settings, error) {
	s := &Settings{tree: koanf.New(delimiter), origin: map[string]string{}}
	fileValues, err := readFile(src.File)
	if err != nil {
		return nil, err
	}
	overrides, err := parseOverrides(src.Overrides)
	if err != nil {
		return nil, err
	}
	layers := []struct {
		name   string
		values map[string]string
	}{
		{LayerDefault, src.Defaults},
		{fileLayer(src.File), fileValues},
		{LayerEnv, FromEnv(src.Environ, known(src.Table))},
		{LayerOverride, overrides},
		{LayerFlag, src.Flags},
	}
	for _, l := range layers {
		if err := s.add(l.name, l.values); err != nil {
			return nil, err
		}
	}
	return s, s.check(src.Table, src.Strict)
}

func fileLayer(path string) string {
	if path == "" {
		return LayerFile
	}
	return LayerFile + " " + path
}

func known(t Table) func(string) bool {
	if t == nil {
		return nil
	}
	return t.Known
}

func (s *Settings) add(layer string, values map[string]string) error {
	if err := s.tree.Load(flatProvider(values), nil); err != nil {
		return fmt.Errorf("layer %s: %w", layer, err)
	}
	for key := range values {
		s.origin[key] = layer
	}
	return nil
}

// flatProvider hands a flat map to koanf.
type flatProvider map[string]string

func (p flatProvider) ReadBytes() ([]byte, error) {
	return nil, errors.New("a flat map has no text form")
}

func (p flatProvider) Read() (map[string]any, error) {
	m := make(map[string]any, len(p))
	for k, v := range p {
		m[k] = v
	}
	return m, nil
}

func (s *Settings) check(t Table, strict bool) error {
	if t == nil {
		return nil
	}
	names := t.Keys()
	for _, key := range s.Keys() {
		if !t.Known(key) {
			s.unknown = append(s.unknown, Unknown{Key: key, Layer: s.origin[key], Nearest: Nearest(key, names)})
		}
	}
	if !strict || len(s.unknown) == 0 {
		return nil
	}
	texts := make([]string, len(s.unknown))
	for i, u := range s.unknown {
		texts[i] = u.String()
	}
	return fmt.Errorf("%w: %s", ErrUnknownKey, strings.Join(texts, ", "))
}

// Get returns the value of key and whether any layer set it.
func (s *Settings) Get(key string) (string, bool) {
	if _, ok := s.origin[key]; !ok {
		return "", false
	}
	return s.tree.String(key), true
}

// Layer names the layer that set key, or "".
func (s *Settings) Layer(key string) string { return s.origin[key] }

// All returns a fresh map of every key and its value.
func (s *Settings) All() map[string]string {
	m := make(map[string]string, len(s.origin))
	for key := range s.origin {
		m[key] = s.tree.String(key)
	}
	return m
}

// Keys lists every key that some layer set, sorted.
func (s *Settings) Keys() []string { return slices.Sorted(maps.Keys(s.origin)) }

// Unknown lists the keys that the table does not define, sorted.
func (s *Settings) Unknown() []Unknown { return s.unknown }

// WarnUnknown writes one line for each unknown key.
func (s *Settings) WarnUnknown(log *slog.Logger) {
	for _, u := range s.unknown {
		attrs := []any{"key", u.Key, "layer", u.Layer}
		if u.Nearest != "" {
			attrs = append(attrs, "did_you_mean", u.Nearest)
		}
		log.Warn("unknown configuration key is ignored", attrs...)
	}
}

func parseOverrides(overrides []string) (map[string]string, error) {
	m := make(map[string]string, len(overrides))
	for _, o := range overrides {
		key, value, ok := strings.Cut(o, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" {
			return nil, fmt.Errorf("%w: %q", ErrOverride, o)
		}
		m[key] = strings.TrimSpace(value)
	}
	return m, nil
}

// ReadFile reads a properties file, or a YAML file by its extension, into a
// flat map.
func ReadFile(path string) (map[string]string, error) { return readFile(path) }

func readFile(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	text, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	if ext := filepath.Ext(path); ext == ".yaml" || ext == ".yml" {
		m, err := parseYAML(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return m, nil
	}
	props, err := ParseProperties(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m := make(map[string]string, len(props))
	for _, p := range props {
		// Trailing blanks survive Java's reader, yet no key of ours wants them
		// and "true " is a classic trap.
		m[p.Key] = strings.TrimRight(p.Value, " \t")
	}
	return m, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > MaxFileSize {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", path, ErrSyntax, MaxFileSize)
	}
	return text, nil
}

// parseYAML flattens nested maps with dots; lists become comma-separated texts.
func parseYAML(text []byte) (map[string]string, error) {
	var root map[string]any
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	m := map[string]string{}
	flatten(m, "", root)
	return m, nil
}

func flatten(into map[string]string, prefix string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			flatten(into, join(prefix, key), inner)
		}
	case map[any]any:
		for key, inner := range v {
			flatten(into, join(prefix, fmt.Sprint(key)), inner)
		}
	case []any:
		texts := make([]string, len(v))
		for i, item := range v {
			texts[i] = fmt.Sprint(item)
		}
		into[prefix] = strings.Join(texts, ",")
	case nil:
		into[prefix] = ""
	default:
		into[prefix] = fmt.Sprint(v)
	}
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}
