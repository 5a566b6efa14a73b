// Package message is a record as users see and type it: its JSON form, filters
// in expr-lang over its fields, printf-like formats that read and write records,
// and the texts that name positions in a log ("start", "-10", "@-1h").
//
// It belongs to cmd and keeps no state. A Filter and a Format may be used by
// several goroutines at once; a Reader by one.
package message
