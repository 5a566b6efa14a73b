package broker

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/leatstream/leat/broker/metadata"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Parts stop in the reverse order of their start, each before the next is told.
func TestLifeStopsInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := newLife(ctx, quiet())
		var ended []string
		for _, part := range []string{"a", "b", "c"} {
			l.run(part, func(ctx context.Context) error {
				<-ctx.Done()
				ended = append(ended, part)
				return ctx.Err()
			})
		}
		l.after("d", func() error { ended = append(ended, "d"); return errors.New("stuck") })
		cancel()
		if err := l.cause(); err != nil {
			t.Errorf("cause: %v", err)
		}
		if err := l.stop(); err == nil || !strings.Contains(err.Error(), "stop d: stuck") {
			t.Errorf("stop: %v", err)
		}
		if want := []string{"d", "c", "b", "a"}; !slices.Equal(ended, want) {
			t.Errorf("ended %v, want %v", ended, want)
		}
	})
}

func TestLifeEndsWithAPart(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		result error
		want   string
	}{
		"failed":          {broken, "part: broken"},
		"ended by itself": {nil, "part: ended by itself"},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLife(t.Context(), quiet())
			others := make(chan struct{})
			l.run("other", func(ctx context.Context) error { <-ctx.Done(); close(others); return nil })
			l.run("part", func(context.Context) error { return c.result })
			<-l.ctx.Done()
			if err := l.cause(); err == nil || err.Error() != c.want {
				t.Errorf("%s: cause: %v, want %s", name, err, c.want)
			}
			if err := l.stop(); err != nil {
				t.Errorf("%s: stop: %v", name, err)
			}
			<-others
		})
	}
}

// What a part reports while it stops is not lost.
func TestLifeReportsLateErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := newLife(ctx, quiet())
		l.run("part", func(ctx context.Context) error { <-ctx.Done(); return errors.New("late") })
		cancel()
		if err := errors.Join(l.cause(), l.stop()); err == nil || !strings.Contains(err.Error(), "late") {
			t.Errorf("%v", err)
		}
	})
}

func TestCoordinationDir(t *testing.T) {
	for _, c := range []struct {
		name    string
		cfg     Config
		logDirs []string
		want    string // "" for an error
	}{
		{"data dir", Config{DataDir: "/d"}, []string{"/d/log"}, "/d/coordination"},
		{"beside the log dir", Config{}, []string{"/var/logs/", "/other"}, "/var/logs-coordination"},
		{"given", Config{DataDir: "/d", CoordinationDir: "/c"}, []string{"/d/log"}, "/c"},
		{"is the log dir", Config{CoordinationDir: "/l"}, []string{"/l"}, ""},
		{"inside a log dir", Config{CoordinationDir: "/l/x/y"}, []string{"/a", "/l"}, ""},
		{"name that begins alike", Config{CoordinationDir: "/log-tree"}, []string{"/log"}, "/log-tree"},
		{"log dir is the data dir", Config{DataDir: "/d"}, []string{"/d"}, ""},
	} {
		got, err := c.cfg.coordinationDir(c.logDirs)
		if c.want == "" {
			if !errors.Is(err, ErrConfig) {
				t.Errorf("%s: %q, %v, want ErrConfig", c.name, got, err)
			}
		} else if got != c.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestDataDirIsOverruled(t *testing.T) {
	p := Config{DataDir: "/d", Properties: map[string]string{"broker.id": "5", "log.dir": "/l"}}.properties()
	if p["broker.id"] != "5" || p["log.dirs"] != "" || p["log.dir"] != "/l" {
		t.Errorf("properties %v", p)
	}
	p = Config{DataDir: "/d"}.properties()
	if p["broker.id"] != "0" || p["log.dirs"] != "/d/log" {
		t.Errorf("properties %v", p)
	}
}

// A comma in the name of the data folder would make two of it, the second one
// somewhere else.
func TestDataDirWithComma(t *testing.T) {
	if _, err := New(Config{DataDir: t.TempDir() + "/a,b"}, nil, nil); !errors.Is(err, ErrConfig) {
		t.Errorf("%v, want ErrConfig", err)
	}
	if err := (Config{DataDir: "/a,b", Properties: map[string]string{"log.dirs": "/l,/m"}}).checkDataDir(); err != nil {
		t.Errorf("with log.dirs: %v", err)
	}
}

// A broker lives as long as one log directory does.
func TestLastLogDirEndsTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t.Context(), quiet())
		b := &Broker{log: quiet(), settings: &metadata.BrokerConfig{LogDirs: []string{"/a", "/b"}}, failedDirs: make(map[string]bool)}
		for range 2 {
			b.dirFailed(l, "/a", errors.New("input/output error"))
			if l.ctx.Err() != nil {
				t.Fatal("the broker ends with a log directory left")
			}
		}
		b.dirFailed(l, "/b", errors.New("input/output error"))
		<-l.ctx.Done()
		if err := l.cause(); !errors.Is(err, ErrNoLogDir) || !strings.Contains(err.Error(), "input/output error") {
			t.Errorf("cause: %v", err)
		}
		l.stop()
	})
}

// Log directories are listed by their whole paths, however they were given.
func TestLogDirsAreAbsolute(t *testing.T) {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	got, err := absolute([]string{"/a/", "/a/../b", "c"})
	if want := []string{"/a", "/b", filepath.Join(here, "c")}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}
