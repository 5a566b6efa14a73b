// Package layers holds the house rules that a machine can check: which package
// may import which (the table in table.go), and a few habits (tidy.go). Its test
// reads the whole module and fails on any breach.
//
// It parses source, builds nothing and needs no network. Layer: tests only;
// nothing imports it.
package layers
