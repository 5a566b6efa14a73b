package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestAddresses(t *testing.T) {
	for in, want := range map[string][]string{
		"":               nil,
		" , ":            nil,
		"a:1":            {"a:1"},
		"a:1, b:2,, c ":  {"a:1", "b:2", "c"},
		"[::1]:9092,::1": {"[::1]:9092", "::1"},
	} {
		if got := Addresses(in); !slices.Equal(got, want) {
			t.Errorf("Addresses(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestWithPort(t *testing.T) {
	for in, want := range map[string]string{
		"h":         "h:9092",
		"h:1":       "h:1",
		"10.0.0.1":  "10.0.0.1:9092",
		"::1":       "[::1]:9092",
		"[::1]":     "[::1]:9092",
		"[::1]:7":   "[::1]:7",
		"":          "",
		":9":        "",
		"h:":        "",
		"h:1:2":     "",
		"http://h:": "",
	} {
		got, err := withPort(in)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("withPort(%q) = %q, %v, want %q", in, got, err, want)
		}
		if err != nil && !errors.Is(err, ErrConfig) {
			t.Errorf("withPort(%q): error %v is no ErrConfig", in, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"no brokers":  {},
		"bad address": {Brokers: []string{"a:1:2"}},
	} {
		if _, err := New(c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
	ok := Config{Brokers: []string{"h"}}
	if _, err := New(ok, kgo.MaxBufferedRecords(-1)); !errors.Is(err, ErrConfig) {
		t.Errorf("bad option: %v, want ErrConfig", err)
	}
}

// A TLS client must not greet a plaintext broker in the clear.
func TestNewConnects(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	plain, err := New(Config{Brokers: cluster.ListenAddrs(), ClientID: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if err := plain.Ping(ctx); err != nil {
		t.Errorf("ping: %v", err)
	}

	secret, err := New(Config{Brokers: cluster.ListenAddrs(), TLS: &tls.Config{}}, kgo.RequestRetries(0))
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := secret.Ping(short); err == nil {
		t.Error("TLS client reached a plaintext broker")
	}
}

func TestLoggerLevels(t *testing.T) {
	for _, c := range []struct {
		min  slog.Level
		want kgo.LogLevel
	}{
		{slog.LevelDebug, kgo.LogLevelInfo},
		{slog.LevelInfo, kgo.LogLevelWarn},
		{slog.LevelWarn, kgo.LogLevelWarn},
		{slog.LevelError, kgo.LogLevelError},
	} {
		h := slog.NewTextHandler(&bytes.Buffer{}, &slog.HandlerOptions{Level: c.min})
		if got := (logger{slog.New(h)}).Level(); got != c.want {
			t.Errorf("at %v: %v, want %v", c.min, got, c.want)
		}
	}
	var out bytes.Buffer
	l := logger{slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	l.Log(kgo.LogLevelInfo, "opened", "broker", 1)
	if s := out.String(); !strings.Contains(s, "level=DEBUG msg=opened broker=1") {
		t.Errorf("logged %q", s)
	}
}
