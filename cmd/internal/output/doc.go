// Package output renders lists and single things from Go structs as tables,
// JSON, NDJSON, YAML, CSV, names or a template, so that every command has the
// same formats and a stable JSON shape.
//
// A struct says with its tags how it is shown:
//
//	json:"size_bytes"            its name in JSON, YAML, CSV and templates
//	col:"SIZE,bytes,wide"        its column: heading, then options
//
// Options: "wide" shows the column only in the wide format, "bytes" prints a
// size for humans, "name" marks what the name format prints. A field without
// col is in no table. JSON numbers are raw; an empty list is [] in JSON and a
// lone heading in tables.
//
// The package belongs to cmd and keeps no state.
package output
