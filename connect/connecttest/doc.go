// Package connecttest runs connectors in tests without a broker.
//
// Source and Sink play the runtime: they keep offsets, honour what tasks ask
// for, and can lose everything that was not stored, as a crash does. CheckSource
// and CheckSink hold a connector to what package connect promises of it; every
// connector's tests call one of them.
package connecttest
