package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/broker/client"
	"github.com/leatstream/leat/cmd/internal/conf"
)

const (
	clientID    = "leat"
	dialTimeout = 5 * time.Second
	fetchWait   = 500 * time.Millisecond
	// Three heartbeats may be lost before a member counts as gone.
	heartbeatsInSession = 3
	askRoundTrip        = 2 * time.Second // for completion: better silent than slow
)

// withClient connects, runs work within the command's context and closes. The
// cluster is greeted first, so that an unreachable one is named as such.
func (a *App) withClient(ctx context.Context, opts []kgo.Opt, work func(*kgo.Client) error) error {
	cl, err := a.newClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := a.greet(ctx, cl); err != nil {
		return err
	}
	return a.explain(work(cl))
}

// withAdmin is withClient for requests that end within --timeout.
func (a *App) withAdmin(ctx context.Context, work func(context.Context, *kadm.Client) error) error {
	return a.withClient(ctx, nil, func(cl *kgo.Client) error {
		ctx, cancel := context.WithTimeout(ctx, a.timeout)
		defer cancel()
		adm := kadm.NewClient(cl)
		adm.SetTimeoutMillis(int32(min(a.timeout.Milliseconds(), 1<<30)))
		return work(ctx, adm)
	})
}

func (a *App) newClient(opts ...kgo.Opt) (*kgo.Client, error) {
	config := client.Config{Brokers: client.Addresses(a.bootstrap), ClientID: clientID}
	if a.verbose {
		config.Log = a.logger()
	}
	own := []kgo.Opt{
		kgo.RetryTimeout(a.timeout),
		// A fetch that went out for an idle partition holds up those that
		// become ready after it for this long.
		kgo.FetchMaxWait(fetchWait),
		kgo.DialTimeout(min(dialTimeout, a.timeout)),
	}
	fromProperties, err := a.clientProperties(&config)
	if err != nil {
		return nil, err
	}
	own = append(own, fromProperties...)
	return client.New(config, append(own, opts...)...)
}

// greet makes sure that one bootstrap broker answers.
func (a *App) greet(ctx context.Context, cl *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	err := pingPatiently(ctx, cl)
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	next := "leat server start --data-dir ./leat-data"
	if a.bootstrap != defaultBootstrap {
		next = "leat topic list -b HOST:PORT"
	}
	return &cliError{
		code: exitUnreachable, err: err, next: next,
		text: fmt.Sprintf("cannot reach a broker at %s: %s", a.bootstrap, rootCause(err)),
	}
}

// A broker that a script started the moment before is not listening yet: for
// this long, a refused connection is tried again.
const (
	startPatience = time.Second
	startPause    = 50 * time.Millisecond
)

func pingPatiently(ctx context.Context, cl *kgo.Client) error {
	for started := time.Now(); ; {
		err := cl.Ping(ctx)
		if !errors.Is(err, syscall.ECONNREFUSED) || time.Since(started) > startPatience {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(startPause):
		}
	}
}

// explain names the classic trap: the bootstrap broker answers and the address
// that the cluster advertises does not.
func (a *App) explain(err error) error {
	dial, ok := errors.AsType[*net.OpError](err)
	if !ok || dial.Op != "dial" {
		return err
	}
	where := "its advertised address"
	if dial.Addr != nil {
		where = dial.Addr.String()
	}
	return &cliError{
		code: exitUnreachable, err: err,
		next: "leat server start FILE --override advertised.listeners=PLAINTEXT://HOST:PORT",
		text: fmt.Sprintf("cannot reach a broker advertised as %s (bootstrap %s worked): %s", where, a.bootstrap, rootCause(err)),
	}
}

// rootCause is the plain reason at the bottom of a network error.
func rootCause(err error) string {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return "no answer in time"
	}
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		return sys.Err.Error()
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Err + ": " + dns.Name
	}
	return err.Error()
}

// clientProperties turns --client-config and, stronger, -X key=value into
// options, by the names of Kafka's clients.
func (a *App) clientProperties(config *client.Config) ([]kgo.Opt, error) {
	security := make(map[string]string)
	opts, err := a.clientFile(config, security)
	if err != nil {
		return nil, err
	}
	for _, property := range a.properties {
		key, value, ok := strings.Cut(property, "=")
		if !ok {
			return nil, usageError(fmt.Sprintf("-X %q is not key=value", property), "")
		}
		if slices.Contains(client.TLSKeys(), key) {
			security[key] = value
			continue
		}
		more, err := clientProperty(config, key, value)
		if err != nil {
			return nil, usageError(fmt.Sprintf("-X %s: %v", property, err), "")
		}
		opts = append(opts, more...)
	}
	if config.TLS, err = client.TLS(security); err != nil {
		return nil, usageError(err.Error(), "")
	}
	return opts, nil
}

// clientFile reads the properties file of --client-config. It is made for other
// clients, too: keys that have no meaning here are left alone.
func (a *App) clientFile(config *client.Config, security map[string]string) ([]kgo.Opt, error) {
	if a.clientConfig == "" {
		return nil, nil
	}
	properties, err := conf.ReadFile(a.clientConfig)
	if err != nil {
		return nil, usageError(fmt.Sprintf("--client-config: %v", err), "")
	}
	var opts []kgo.Opt
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		switch {
		case slices.Contains(client.TLSKeys(), key):
			security[key] = properties[key]
		case slices.Contains(ownPropertyNames(), key) && key != "bootstrap.servers" && key != "brokers":
			more, err := clientProperty(config, key, properties[key])
			if err != nil {
				return nil, usageError(fmt.Sprintf("--client-config: %s: %v", key, err), "")
			}
			opts = append(opts, more...)
		}
	}
	return opts, nil
}

func propertyNames() []string { return append(ownPropertyNames(), client.TLSKeys()...) }

// ownPropertyNames are the properties of clientProperty.
func ownPropertyNames() []string {
	return []string{"bootstrap.servers", "brokers", "client.id", "acks", "compression.type", "linger.ms", "batch.size",
		"fetch.max.bytes", "fetch.max.wait.ms", "fetch.min.bytes", "isolation.level", "session.timeout.ms"}
}

func clientProperty(config *client.Config, key, value string) ([]kgo.Opt, error) {
	number := func(opt func(int) kgo.Opt) ([]kgo.Opt, error) {
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is not a number that fits", value)
		}
		return []kgo.Opt{opt(int(n))}, nil
	}
	millis := func(opt func(time.Duration) kgo.Opt) ([]kgo.Opt, error) {
		return number(func(n int) kgo.Opt { return opt(time.Duration(n) * time.Millisecond) })
	}
	switch key {
	case "bootstrap.servers", "brokers":
		config.Brokers = client.Addresses(value)
		return nil, nil
	case "client.id":
		config.ClientID = value
		return nil, nil
	case "acks":
		return acksOption(value)
	case "compression.type":
		return compressionOption(value)
	case "linger.ms":
		return millis(func(d time.Duration) kgo.Opt { return kgo.ProducerLinger(d) })
	case "batch.size":
		return number(func(n int) kgo.Opt { return kgo.ProducerBatchMaxBytes(int32(n)) })
	case "fetch.max.bytes":
		return number(func(n int) kgo.Opt { return kgo.FetchMaxBytes(int32(n)) })
	case "fetch.max.wait.ms":
		return millis(func(d time.Duration) kgo.Opt { return kgo.FetchMaxWait(d) })
	case "fetch.min.bytes":
		return number(func(n int) kgo.Opt { return kgo.FetchMinBytes(int32(n)) })
	case "session.timeout.ms":
		heartbeat, err := millis(func(d time.Duration) kgo.Opt { return kgo.HeartbeatInterval(d / heartbeatsInSession) })
		if err != nil {
			return nil, err
		}
		session, err := millis(func(d time.Duration) kgo.Opt { return kgo.SessionTimeout(d) })
		return append(session, heartbeat...), err
	case "isolation.level":
		return isolationOption(value)
	}
	if near := conf.Nearest(key, propertyNames()); near != "" {
		return nil, fmt.Errorf("unknown client property; did you mean %s?", near)
	}
	return nil, fmt.Errorf("unknown client property; known are %s", strings.Join(propertyNames(), ", "))
}

// acksOption gives up idempotence where acks make it impossible.
func acksOption(value string) ([]kgo.Opt, error) {
	switch value {
	case "all", "-1":
		return []kgo.Opt{kgo.RequiredAcks(kgo.AllISRAcks())}, nil
	case "1", "leader":
		return []kgo.Opt{kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()}, nil
	case "0", "none":
		return []kgo.Opt{kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()}, nil
	}
	return nil, fmt.Errorf("acks %q: want all, 1 or 0", value)
}

func compressionOption(value string) ([]kgo.Opt, error) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	codec, ok := codecs[value]
	if !ok {
		return nil, fmt.Errorf("compression %q: want none, gzip, snappy, lz4 or zstd", value)
	}
	return []kgo.Opt{kgo.ProducerBatchCompression(codec)}, nil
}

func isolationOption(value string) ([]kgo.Opt, error) {
	switch value {
	case "read_committed":
		return []kgo.Opt{kgo.FetchIsolationLevel(kgo.ReadCommitted())}, nil
	case "read_uncommitted":
		return []kgo.Opt{kgo.FetchIsolationLevel(kgo.ReadUncommitted())}, nil
	}
	return nil, fmt.Errorf("isolation level %q: want read_committed or read_uncommitted", value)
}

// completeFlag proposes fixed values for a flag.
func completeFlag(cmd *cobra.Command, flag string, values func(*App) []string, a *App) {
	complete := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values(a), cobra.ShellCompDirectiveNoFileComp
	}
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic("leat: completion for a flag that is not defined: " + err.Error())
	}
}

// completion is the signature of cobra's dynamic completions.
type completion func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective)

// completeTopics proposes the cluster's topics, completeGroups its groups.
func (a *App) completeTopics() completion {
	return a.complete(func(ctx context.Context, cl *kadm.Client) []string {
		topics, err := cl.ListTopics(ctx)
		if err != nil {
			return nil
		}
		return topics.Names()
	})
}

func (a *App) completeGroups() completion {
	return a.complete(func(ctx context.Context, cl *kadm.Client) []string {
		groups, err := cl.ListGroups(ctx)
		if err != nil {
			return nil
		}
		return groups.Groups()
	})
}

func (a *App) complete(names func(context.Context, *kadm.Client) []string) completion {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		if err := a.flagsFromEnv(cmd.Flags()); err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), askRoundTrip)
		defer cancel()
		cl, err := a.newClient()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		defer cl.Close()
		return names(ctx, kadm.NewClient(cl)), cobra.ShellCompDirectiveNoFileComp
	}
}
