// Package config declares what a connector, converter or transform can be
// configured with: typed keys with defaults, checks and documentation.
//
// Names, types and error texts are Kafka Connect's, because tools show and
// compare them. A Def is built once and is read-only afterwards; Values belong
// to the caller. The package is pure.
package config
