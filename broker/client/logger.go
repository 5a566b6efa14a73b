package client

import (
	"context"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"
)

// logger passes the client's messages on. Its everyday messages go one level
// down: a user of a tool does not want to read about each connection.
type logger struct{ to *slog.Logger }

var _ kgo.Logger = logger{}

func (l logger) Level() kgo.LogLevel {
	ctx := context.Background()
	switch {
	case l.to.Enabled(ctx, slog.LevelDebug):
		return kgo.LogLevelInfo
	case l.to.Enabled(ctx, slog.LevelWarn):
		return kgo.LogLevelWarn
	default:
		return kgo.LogLevelError
	}
}

func (l logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	at := slog.LevelDebug
	switch level {
	case kgo.LogLevelError:
		at = slog.LevelError
	case kgo.LogLevelWarn:
		at = slog.LevelWarn
	}
	l.to.Log(context.Background(), at, msg, keyvals...)
}
