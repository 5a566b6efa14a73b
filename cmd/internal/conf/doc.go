// Package conf turns files, environment variables and flags into one flat map
// of dotted keys, and remembers which layer set each of them.
//
// Layers, weakest first:
//
//	defaults < file (properties or YAML) < environment < --override < flags
//
// Keys are flat: "broker.id" and "broker.id.generation.enable" live side by
// side. The tree delimiter of koanf is therefore a byte that no key contains.
//
// The package belongs to cmd, the only part of Leat that reads files, flags and
// environment. It starts no goroutines and keeps no state between calls: the
// environment is an argument.
package conf
