// Package windowed holds the serdes of windowed keys, in the bytes of Kafka's
// TimeWindowedSerializer: the key followed by the window's start as eight
// big-endian bytes.
//
// Layer: above serde and window. Owns no goroutine.
package windowed
