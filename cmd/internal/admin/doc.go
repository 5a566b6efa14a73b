// Package admin reads a cluster through the Kafka protocol and gives plain
// structs: what the command line prints and what an API can serve. The JSON
// names of these structs are a promise to users.
//
// It belongs to cmd, knows clusters only by kadm, and keeps no state. Partial
// answers are answers: a size or a lag that cannot be had is -1 or null, and
// only what was asked for by name is an error when missing.
package admin
