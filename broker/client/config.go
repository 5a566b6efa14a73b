package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
)

// ErrConfig says that a Config cannot be used.
var ErrConfig = errors.New("client configuration")

// defaultPort is added to a broker address that names none.
const defaultPort = "9092"

// Config says how to reach a cluster and who to be there.
type Config struct {
	// Brokers are addresses to start from, host:port each; one reachable broker
	// is enough to find the others.
	Brokers []string
	// ClientID appears in the broker's logs, metrics and quotas.
	ClientID string
	// TLS, if not nil, encrypts every connection.
	TLS *tls.Config
	// SASL mechanisms are tried in this order.
	SASL []sasl.Mechanism
	// Log takes the client's own messages; nil drops them.
	Log *slog.Logger
}

// Addresses splits a comma-separated list of brokers as users write it.
func Addresses(list string) []string {
	var out []string
	for a := range strings.SplitSeq(list, ",") {
		if a = strings.TrimSpace(a); a != "" {
			out = append(out, a)
		}
	}
	return out
}

// Options returns the options that c stands for, to be followed by the caller's.
func (c Config) Options() ([]kgo.Opt, error) {
	seeds, err := c.seeds()
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{kgo.SeedBrokers(seeds...)}
	if c.ClientID != "" {
		opts = append(opts, kgo.ClientID(c.ClientID))
	}
	if c.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(c.TLS.Clone()))
	}
	if len(c.SASL) > 0 {
		opts = append(opts, kgo.SASL(slices.Clone(c.SASL)...))
	}
	if c.Log != nil {
		opts = append(opts, kgo.WithLogger(logger{c.Log}))
	}
	return opts, nil
}

// seeds returns the broker addresses with their ports.
func (c Config) seeds() ([]string, error) {
	if len(c.Brokers) == 0 {
		return nil, fmt.Errorf("%w: no broker address", ErrConfig)
	}
	seeds := make([]string, len(c.Brokers))
	for i, a := range c.Brokers {
		seed, err := withPort(a)
		if err != nil {
			return nil, err
		}
		seeds[i] = seed
	}
	return seeds, nil
}

func withPort(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		// The address has no port, or it is an IPv6 address without brackets.
		host, port = strings.Trim(addr, "[]"), defaultPort
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return "", fmt.Errorf("%w: broker address %q is not host:port", ErrConfig, addr)
		}
	}
	if host == "" || port == "" {
		return "", fmt.Errorf("%w: broker address %q is not host:port", ErrConfig, addr)
	}
	return net.JoinHostPort(host, port), nil
}

// New builds a client from c; opts come after c's own and win over them. It
// does not connect yet. The caller closes the client.
func New(c Config, opts ...kgo.Opt) (*kgo.Client, error) {
	own, err := c.Options()
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(own, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return cl, nil
}
