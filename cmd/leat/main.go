package main

import (
	"context"
	"io"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes one command line with the environment of the process and returns
// its exit code. Cancelling ctx stops it as an interrupt would.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return newApp(os.Environ(), stdin, stdout, stderr).run(ctx, args)
}
