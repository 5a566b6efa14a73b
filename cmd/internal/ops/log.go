package ops

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// LogConfig of a process.
type LogConfig struct {
	Level  slog.Leveler // a *slog.LevelVar can be changed while the process runs
	Format string       // "text", "json", or "" for text on a terminal and JSON elsewhere
	TTY    bool         // whether the output is a terminal
}

// NewLogger writes to w with the keys ts, level, msg and whatever the callers
// add (component, topic, partition, broker, group, client_id, corr_id, err).
func NewLogger(w io.Writer, config LogConfig) *slog.Logger {
	options := &slog.HandlerOptions{Level: config.Level, ReplaceAttr: renameTime}
	if config.Format == "json" || config.Format == "" && !config.TTY {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func renameTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		a.Key = "ts"
	}
	return a
}

// ParseLevel reads debug, info, warn or error; Kafka's TRACE and FATAL map to
// their neighbours.
func ParseLevel(text string) (slog.Level, error) {
	switch strings.ToLower(text) {
	case "trace", "debug", "all":
		return slog.LevelDebug, nil
	case "info", "":
		return slog.LevelInfo, nil
	case "warn", "warning":
		return slog.LevelWarn, nil
	case "error", "fatal", "off":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("log level %q: want debug, info, warn or error", text)
}
