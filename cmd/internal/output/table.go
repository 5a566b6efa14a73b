package output

import (
	"encoding/csv"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// column is one field of a struct as a table shows it.
type column struct {
	index   []int
	heading string
	json    string
	wide    bool
	bytes   bool
	name    bool
	right   bool // numbers align right
}

func columnsOf(t reflect.Type) []column {
	var columns []column
	for _, f := range reflect.VisibleFields(t) {
		tag, ok := f.Tag.Lookup("col")
		if !ok || f.Anonymous {
			continue
		}
		parts := strings.Split(tag, ",")
		columns = append(columns, column{
			index:   f.Index,
			heading: parts[0],
			json:    jsonName(f),
			wide:    slices.Contains(parts[1:], "wide"),
			bytes:   slices.Contains(parts[1:], "bytes"),
			name:    slices.Contains(parts[1:], "name"),
			right:   isNumber(f.Type),
		})
	}
	return columns
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" {
		return f.Name
	}
	return name
}

func isNumber(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64
}

// human renders a field for a table; absent values are "-".
func (c column) human(v reflect.Value) string {
	if c.bytes && v.CanInt() {
		return Bytes(v.Int())
	}
	if text := raw(v); text != "" {
		return text
	}
	return "-"
}

// raw renders a field for CSV and names; nil is "".
func raw(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	if t, ok := v.Interface().(time.Time); ok {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.RFC3339Nano)
	}
	switch v.Kind() {
	case reflect.Slice:
		texts := make([]string, v.Len())
		for i := range texts {
			texts[i] = raw(v.Index(i))
		}
		return strings.Join(texts, ",")
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	}
	return fmt.Sprint(v.Interface())
}

// Bytes renders a size for humans; a negative one is unknown.
func Bytes(n int64) string {
	if n < 0 {
		return "-"
	}
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	value, unit := float64(n), -1
	for value >= 1024 && unit < len("KMGTPE")-1 {
		value /= 1024
		unit++
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + "KMGTPE"[unit:unit+1] + "iB"
}

func (p Printer) shown(columns []column) []column {
	return slices.DeleteFunc(slices.Clone(columns), func(c column) bool { return c.wide && p.Format != Wide })
}

// table writes rows, a slice of structs, aligned in columns.
func (p Printer) table(columns []column, rows reflect.Value, indent string) error {
	columns = p.shown(columns)
	cells := make([][]string, rows.Len()+1)
	widths := make([]int, len(columns))
	for i, c := range columns {
		cells[0] = append(cells[0], c.heading)
		for r := range rows.Len() {
			cells[r+1] = append(cells[r+1], oneLine(c.human(rows.Index(r).FieldByIndex(c.index))))
		}
		for _, row := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	for r, row := range cells {
		line := indent + alignRow(columns, widths, row)
		if r == 0 && p.Color {
			line = "\x1b[1m" + line + "\x1b[0m"
		}
		if _, err := io.WriteString(p.Out, line+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func alignRow(columns []column, widths []int, row []string) string {
	var b strings.Builder
	for i, cell := range row {
		if i > 0 {
			b.WriteString("  ")
		}
		padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if columns[i].right {
			b.WriteString(padding + cell)
		} else {
			b.WriteString(cell + padding)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// oneLine keeps a cell on its line and terminals safe from what the data says.
func oneLine(s string) string { return Printable(s) }

// Printable replaces control characters by their escapes.
func Printable(s string) string {
	clean := func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError }
	if strings.IndexFunc(s, clean) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// describe writes the scalar columns of a struct line by line, then each list
// of structs as a table under its heading.
func (p Printer) describe(v reflect.Value) error {
	t := v.Type()
	var scalars []column
	var lists []reflect.StructField
	for _, c := range p.shown(columnsOf(t)) {
		f := t.FieldByIndex(c.index)
		if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
			lists = append(lists, f)
		} else {
			scalars = append(scalars, c)
		}
	}
	width := 0
	for _, c := range scalars {
		width = max(width, len(c.heading))
	}
	for _, c := range scalars {
		value := oneLine(c.human(v.FieldByIndex(c.index)))
		if _, err := fmt.Fprintf(p.Out, "%-*s  %s\n", width, c.heading, value); err != nil {
			return err
		}
	}
	for _, f := range lists {
		heading, _, _ := strings.Cut(f.Tag.Get("col"), ",")
		if _, err := fmt.Fprintf(p.Out, "\n%s\n", heading); err != nil {
			return err
		}
		if err := p.table(columnsOf(f.Type.Elem()), v.FieldByIndex(f.Index), "  "); err != nil {
			return err
		}
	}
	return nil
}

func (p Printer) csv(columns []column, rows reflect.Value) error {
	w := csv.NewWriter(p.Out)
	record := make([]string, len(columns))
	for i, c := range columns {
		record[i] = c.json
	}
	if err := w.Write(record); err != nil {
		return err
	}
	for r := range rows.Len() {
		for i, c := range columns {
			record[i] = raw(rows.Index(r).FieldByIndex(c.index))
		}
		if err := w.Write(record); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

func (p Printer) names(columns []column, rows reflect.Value) error {
	i := slices.IndexFunc(columns, func(c column) bool { return c.name })
	if i < 0 {
		return fmt.Errorf("%w: this list has no name column", ErrFormat)
	}
	for r := range rows.Len() {
		if _, err := fmt.Fprintln(p.Out, raw(rows.Index(r).FieldByIndex(columns[i].index))); err != nil {
			return err
		}
	}
	return nil
}
