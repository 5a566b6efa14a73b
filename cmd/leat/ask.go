package main

import (
	"bufio"
	"fmt"
	"strings"
)

// maxAnswer bounds the line a user types at a question, in bytes.
const maxAnswer = 1 << 10

// confirm asks before something is destroyed. what names it, for instance
// "delete 2 topics: a, b". Without a terminal to ask on, only --yes allows it.
func (a *App) confirm(what, command string) error {
	if a.yes {
		return nil
	}
	if !isTerminal(a.In) {
		return usageError("refusing to "+what+" without --yes", command+" --yes")
	}
	fmt.Fprintf(a.Err, "%s? [y/N] ", strings.ToUpper(what[:1])+what[1:])
	scanner := bufio.NewScanner(a.In)
	scanner.Buffer(make([]byte, maxAnswer), maxAnswer)
	if scanner.Scan() {
		switch strings.ToLower(strings.TrimSpace(scanner.Text())) {
		case "y", "yes":
			return nil
		}
	}
	return &cliError{code: exitFailed, text: "nothing was done"}
}
