package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// ErrFormat says that a format does not exist or does not fit the data.
var ErrFormat = errors.New("unknown format")

// The formats by name. A template is given as template=TEXT.
const (
	Table  = "table"
	Wide   = "wide"
	JSON   = "json"
	NDJSON = "ndjson"
	YAML   = "yaml"
	CSV    = "csv"
	Name   = "name"
	Help   = "help"

	templatePrefix = "template="
)

// Formats lists the names, for help and completion.
func Formats() []string { return []string{Table, Wide, JSON, NDJSON, YAML, CSV, Name, Help} }

// Check reports whether format is one of Formats or a template.
func Check(format string) error {
	for _, f := range Formats() {
		if f == format {
			return nil
		}
	}
	if strings.HasPrefix(format, templatePrefix) {
		return nil
	}
	return fmt.Errorf("%w %q: want %s or template='{{…}}'", ErrFormat, format, strings.Join(Formats(), ", "))
}

// Printer writes values in one format. Color makes headings bold; it has no
// effect on formats for machines.
type Printer struct {
	Format string
	Out    io.Writer
	Color  bool
}

// List writes rows, one line each in the line formats.
func List[T any](p Printer, rows []T) error {
	if rows == nil {
		rows = []T{}
	}
	columns := columnsOf(reflect.TypeFor[T]())
	switch p.Format {
	case Table, Wide, "":
		return p.table(columns, reflect.ValueOf(rows), "")
	case JSON:
		return p.json(rows)
	case NDJSON:
		return each(rows, p.line)
	case YAML:
		return p.yaml(rows)
	case CSV:
		return p.csv(columns, reflect.ValueOf(rows))
	case Name:
		return p.names(columns, reflect.ValueOf(rows))
	case Help:
		_, err := io.WriteString(p.Out, Shape(rows))
		return err
	}
	return p.template(p.Format, func(run func(any) error) error {
		return each(rows, func(row any) error { return run(row) })
	})
}

// One writes a single thing. In tables its scalar columns become "heading:
// value" lines and its lists become tables of their own below.
func One[T any](p Printer, v T) error {
	switch p.Format {
	case Table, Wide, "":
		return p.describe(reflect.ValueOf(v))
	case JSON:
		return p.json(v)
	case NDJSON:
		return p.line(v)
	case YAML:
		return p.yaml(v)
	case CSV, Name:
		return List(p, []T{v})
	case Help:
		_, err := io.WriteString(p.Out, Shape(v))
		return err
	}
	return p.template(p.Format, func(run func(any) error) error { return run(v) })
}

func each[T any](rows []T, write func(any) error) error {
	for _, row := range rows {
		if err := write(row); err != nil {
			return err
		}
	}
	return nil
}

func (p Printer) encoder() *json.Encoder {
	e := json.NewEncoder(p.Out)
	e.SetEscapeHTML(false)
	return e
}

func (p Printer) json(v any) error {
	e := p.encoder()
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (p Printer) line(v any) error { return p.encoder().Encode(v) }

// yaml goes through JSON, which is YAML, so that names and order agree.
func (p Printer) yaml(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return err
	}
	blockStyle(&node)
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(&node); err != nil {
		return err
	}
	if err := e.Close(); err != nil {
		return err
	}
	_, err = out.WriteTo(p.Out)
	return err
}

func blockStyle(n *yaml.Node) {
	if len(n.Content) > 0 || n.Kind == yaml.ScalarNode {
		n.Style = 0
	}
	for _, c := range n.Content {
		blockStyle(c)
	}
}

// template shows users the JSON names: it runs on decoded JSON.
func (p Printer) template(format string, rows func(run func(any) error) error) error {
	text, ok := strings.CutPrefix(format, templatePrefix)
	if !ok {
		return Check(format)
	}
	t, err := template.New("format").Option("missingkey=error").Parse(text)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return rows(func(row any) error {
		encoded, err := json.Marshal(row)
		if err != nil {
			return err
		}
		decoder := json.NewDecoder(strings.NewReader(string(encoded)))
		decoder.UseNumber()
		var fields any
		if err := decoder.Decode(&fields); err != nil {
			return err
		}
		if err := t.Execute(p.Out, fields); err != nil {
			return fmt.Errorf("%w: %w", ErrFormat, err)
		}
		_, err = io.WriteString(p.Out, "\n")
		return err
	})
}
