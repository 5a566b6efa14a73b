package file

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
)

// Version of the connector.
const Version = "0.1.0"

// Plugin describes the connector.
func Plugin() connect.Plugin {
	return connect.Plugin{
		Name: "file", Aliases: []string{"FileStreamSource", "FileStreamSourceConnector", "org.apache.kafka.connect.file.FileStreamSourceConnector"},
		Version: Version, Doc: "Tails text files, over rotation, one record per line or multi-line event.",
		Config: Config, Source: func() connect.SourceConnector { return &connector{} },
	}
}

// Config declares the settings.
func Config() *config.Def {
	return config.New(
		config.Key{Name: "topic", Type: config.String, Required: true, Check: config.NonEmpty, Importance: config.High, Doc: "Topic to write to."},
		config.Key{Name: "path", Type: config.List, Default: []string{}, Importance: config.High, Doc: "Files to read: paths or patterns with *, ?, [a-z] and ** for any folders."},
		config.Key{Name: "file", Type: config.String, Default: "", Importance: config.High, Doc: "One more path; the name that FileStreamSource uses."},
		config.Key{Name: "exclude", Type: config.List, Default: []string{}, Doc: "Patterns of files to leave out."},
		config.Key{Name: "start.position", Type: config.String, Default: "beginning", Check: config.OneOf("beginning", "end"), Doc: "Where to start in files that exist when the connector runs for the first time."},
		config.Key{Name: "ignore.older.ms", Type: config.Long, Default: int64(-1), Doc: "Start at the end of new-found files that were last changed longer ago than this; -1 for never."},
		config.Key{Name: "scan.interval.ms", Type: config.Long, Default: int64(1000), Check: config.AtLeast(10), Doc: "How often to look for new and rotated files; changes are mostly noticed earlier."},
		config.Key{Name: "rotate.wait.ms", Type: config.Long, Default: int64(5000), Check: config.AtLeast(0), Doc: "How long a file that was moved away or deleted is still watched after its last byte."},
		config.Key{Name: "max.line.bytes", Type: config.Int, Default: 1 << 20, Check: config.Between(16, 64<<20), Doc: "Longer lines are cut and get the header truncated."},
		config.Key{Name: "max.files", Type: config.Int, Default: 10_000, Check: config.AtLeast(1), Importance: config.Low, Doc: "Most files to read; more are left out with a warning."},
		config.Key{Name: "multiline.pattern", Type: config.String, Default: "", Check: config.Regex, Doc: "Lines that match begin a new event; other lines belong to the event before. Empty: every line is an event."},
		config.Key{Name: "multiline.timeout.ms", Type: config.Long, Default: int64(1000), Check: config.AtLeast(1), Doc: "An event is complete when nothing came for this long."},
		config.Key{Name: "multiline.max.lines", Type: config.Int, Default: 500, Check: config.AtLeast(1), Doc: "Most lines of one event."},
		config.Key{Name: "encoding", Type: config.String, Default: "utf-8", Check: config.OneOf("utf-8", "latin-1"), Doc: "Encoding of the files; bytes that are not valid become U+FFFD."},
		config.Key{Name: "batch.size", Type: config.Int, Default: 2000, Check: config.AtLeast(1), Importance: config.Low, Doc: "Most records per poll."},
		config.Key{Name: "host", Type: config.String, Default: "", Doc: "Value of the header host.name; default the system's host name."},
	)
}

// settings are the parsed form of Config.
type settings struct {
	topic      string
	patterns   []string
	exclude    []*regexp.Regexp
	startEnd   bool
	olderThan  time.Duration // negative: never
	scanEvery  time.Duration
	rotateWait time.Duration
	maxLine    int
	maxFiles   int
	multiline  *regexp.Regexp // nil: single lines
	eventWait  time.Duration
	eventLines int
	latin1     bool
	batch      int
	host       string
}

func parseSettings(props map[string]string) (*settings, error) {
	v, err := Config().Parse(props)
	if err != nil {
		return nil, err
	}
	s := &settings{
		topic: v.String("topic"), patterns: v.List("path"), startEnd: v.String("start.position") == "end",
		olderThan: v.Millis("ignore.older.ms"), scanEvery: v.Millis("scan.interval.ms"), rotateWait: v.Millis("rotate.wait.ms"),
		maxLine: v.Int("max.line.bytes"), maxFiles: v.Int("max.files"), eventWait: v.Millis("multiline.timeout.ms"),
		eventLines: v.Int("multiline.max.lines"), latin1: v.String("encoding") == "latin-1", batch: v.Int("batch.size"), host: v.String("host"),
	}
	if f := v.String("file"); f != "" {
		s.patterns = append(s.patterns, f)
	}
	if len(s.patterns) == 0 {
		return nil, fmt.Errorf("%w: the file source needs path (or file)", config.ErrInvalid)
	}
	for i, p := range s.patterns {
		if s.patterns[i], err = filepath.Abs(p); err != nil {
			return nil, fmt.Errorf("%w: path %s: %w", config.ErrInvalid, p, err)
		}
		if _, err := globRegexp(s.patterns[i]); err != nil {
			return nil, fmt.Errorf("%w: path %s: %w", config.ErrInvalid, p, err)
		}
	}
	for _, p := range v.List("exclude") {
		re, err := globRegexp(p)
		if err != nil {
			return nil, fmt.Errorf("%w: exclude %s: %w", config.ErrInvalid, p, err)
		}
		s.exclude = append(s.exclude, re)
	}
	if p := v.String("multiline.pattern"); p != "" {
		s.multiline = regexp.MustCompile(p) // checked by the Def
	}
	return s, nil
}

type connector struct{ props map[string]string }

func (c *connector) Start(_ context.Context, _ connect.ConnectorContext, props map[string]string) error {
	if _, err := parseSettings(props); err != nil {
		return fmt.Errorf("file: %w", err)
	}
	c.props = props
	return nil
}

// TaskConfigs implements connect.Connector. One task reads all files: two
// could not agree on the owner of a file that is being renamed.
func (c *connector) TaskConfigs(int) ([]map[string]string, error) {
	return []map[string]string{c.props}, nil
}

func (c *connector) NewTask() connect.SourceTask { return &task{} }
func (c *connector) Stop() error                 { return nil }
