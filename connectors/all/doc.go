// Package all lists the connectors that come with Leat.
//
// It has no state; a program that wants other connectors appends to the list.
package all
