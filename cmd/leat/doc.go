// Command leat is the whole of Leat in one binary: servers, and a command line
// of nouns and verbs for everything that speaks the Kafka protocol.
//
// Reading order: main.go (process), root.go (App, global flags, the list of
// nouns), errors.go (exit codes), then one file per noun. A noun is a function
// newXCmd(*App) *cobra.Command listed in root.go; it reads flags, calls one
// package and prints through internal/output. Records go to stdout, everything
// else to stderr.
//
// Everything runs as a library call too: run(ctx, args, stdin, stdout, stderr)
// is the process without the process.
package main
