package api

import (
	"log/slog"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rootLogger is the one logger that the broker-logger resource has.
const rootLogger = "root"

// levels are the names that Kafka's tools know, with the nearest level of ours.
// Read-only.
var levels = [...]struct {
	name  string
	level slog.Level
}{
	{"TRACE", slog.LevelDebug - 4},
	{"DEBUG", slog.LevelDebug},
	{"INFO", slog.LevelInfo},
	{"WARN", slog.LevelWarn},
	{"ERROR", slog.LevelError},
	{"FATAL", slog.LevelError + 4},
}

// levelName is the name of the highest level at or below l.
func levelName(l slog.Level) string {
	name := levels[0].name
	for _, known := range levels {
		if known.level <= l {
			name = known.name
		}
	}
	return name
}

// describeLoggers lists the loggers of this broker and their levels.
func (a *API) describeLoggers(res *kmsg.DescribeConfigsRequestResource) kmsg.DescribeConfigsResponseResource {
	out := kmsg.NewDescribeConfigsResponseResource()
	if a.LogLevel == nil || len(res.ConfigNames) > 0 && !slices.Contains(res.ConfigNames, rootLogger) {
		return out
	}
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.Value = rootLogger, kmsg.StringPtr(levelName(a.LogLevel.Level()))
	c.Source = kmsg.ConfigSourceDynamicBrokerLoggerConfig
	out.Configs = append(out.Configs, c)
	return out
}

// alterLoggers changes log levels. All changes are checked before the first is
// made.
func (a *API) alterLoggers(res *kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool) error {
	if err := a.checkBrokerName(res.ResourceName); err != nil {
		return err
	}
	var to []slog.Level
	for _, c := range res.Configs {
		level, err := a.newLevel(c)
		if err != nil {
			return err
		}
		to = append(to, level)
	}
	if !validateOnly {
		for _, level := range to {
			a.LogLevel.Set(level)
		}
	}
	return nil
}

// newLevel is the level that a change asks for.
func (a *API) newLevel(c kmsg.IncrementalAlterConfigsRequestResourceConfig) (slog.Level, error) {
	if a.LogLevel == nil || c.Name != rootLogger {
		return 0, refuse(kerr.InvalidConfig, "there is no logger %q", c.Name)
	}
	switch c.Op {
	case kmsg.IncrementalAlterConfigOpSet:
	case kmsg.IncrementalAlterConfigOpDelete:
		return 0, refuse(kerr.InvalidRequest, "the level of the root logger can be changed but not removed")
	default:
		return 0, refuse(kerr.InvalidRequest, "a log level can only be set")
	}
	for _, known := range levels {
		if c.Value != nil && *c.Value == known.name {
			return known.level, nil
		}
	}
	return 0, refuse(kerr.InvalidConfig, "no such log level for logger %q", c.Name)
}
