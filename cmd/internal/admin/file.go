package admin

import "time"

// File is a line of the list of Parquet files. The path is relative to the
// folder of the export.
type File struct {
	Path      string    `json:"path" col:"FILE,name"`
	Topic     string    `json:"topic" col:"TOPIC"`
	Partition int32     `json:"partition" col:"PARTITION"`
	Rows      int64     `json:"rows" col:"ROWS"`
	SizeBytes int64     `json:"size_bytes" col:"SIZE,bytes"`
	Modified  time.Time `json:"modified" col:"MODIFIED"`
}

// FileDetail is a file with its schema and first rows; a row has a value, or
// null, for each column.
type FileDetail struct {
	File
	RowGroups int      `json:"row_groups" col:"Row groups"`
	Columns   []Column `json:"columns" col:"Columns"`
	FirstRows [][]any  `json:"first_rows" col:"First rows"`
}

// Column is a leaf of a file's schema.
type Column struct {
	Name        string `json:"name" col:"COLUMN,name"`
	Type        string `json:"type" col:"TYPE"`
	Nullable    bool   `json:"nullable" col:"NULLABLE"`
	Compression string `json:"compression" col:"COMPRESSION"`
}
