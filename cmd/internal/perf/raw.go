package perf

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrProtocol marks an answer that is not what was asked for.
var ErrProtocol = errors.New("unexpected answer")

// Versions that every broker since 2.3 speaks; neither has flexible headers.
const (
	rawProduceVersion = 7
	rawFetchVersion   = 11
	rawListVersion    = 1
)

const (
	rawDialTimeout = 5 * time.Second
	rawClientID    = "leat-perf"
	maxFrame       = 256 << 20
)

// share is the part of a topic that one broker leads.
type share struct {
	addr       string
	partitions []int32
	tls        *tls.Config // nil: plain
}

// shares asks the cluster who leads what.
func shares(ctx context.Context, cl *kadm.Client, topic string) ([]share, error) {
	metadata, err := cl.Metadata(ctx, topic)
	if err != nil {
		return nil, err
	}
	details := metadata.Topics[topic]
	if details.Err != nil {
		return nil, fmt.Errorf("topic %s: %w", topic, details.Err)
	}
	if len(details.Partitions) == 0 {
		return nil, fmt.Errorf("topic %s: %w", topic, kerr.UnknownTopicOrPartition)
	}
	var list []share
	for _, b := range metadata.Brokers {
		s := share{addr: net.JoinHostPort(b.Host, fmt.Sprint(b.Port))}
		for _, p := range details.Partitions.Sorted() {
			if p.Leader == b.NodeID {
				s.partitions = append(s.partitions, p.Partition)
			}
		}
		if len(s.partitions) > 0 {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("topic %s: %w", topic, kerr.LeaderNotAvailable)
	}
	return list, nil
}

// split divides each share among n connections, as far as there are partitions;
// with fewer partitions than connections, partitions are shared when repeat.
func split(list []share, n int, repeat bool) []share {
	var out []share
	for _, s := range list {
		for i := range n {
			part := share{addr: s.addr, tls: s.tls}
			for j := i; j < len(s.partitions); j += n {
				part.partitions = append(part.partitions, s.partitions[j])
			}
			if len(part.partitions) == 0 && repeat {
				part.partitions = []int32{s.partitions[i%len(s.partitions)]}
			}
			if len(part.partitions) > 0 {
				out = append(out, part)
			}
		}
	}
	return out
}

// resolve finds the leaders of a topic and plans the connections to them.
func resolve(ctx context.Context, cl *kgo.Client, topic string, connections int, repeat bool) ([]share, error) {
	if connections < 1 || connections > 1024 {
		return nil, fmt.Errorf("%w: %d connections; want 1 to 1024", ErrConfig, connections)
	}
	list, err := shares(ctx, kadm.NewClient(cl), topic)
	if err != nil {
		return nil, err
	}
	secure, _ := cl.OptValue(kgo.DialTLSConfig).(*tls.Config)
	for i := range list {
		list[i].tls = secure
	}
	return split(list, connections, repeat), nil
}

// wireConn is one connection that speaks frames.
type wireConn struct {
	net.Conn
	in      *bufio.Reader
	payload []byte // of the last frame; reused
}

// dial connects as the client of the share would, and closes the connection when
// ctx ends, which makes blocked reads and writes return.
func (s share) dial(ctx context.Context) (*wireConn, func(), error) {
	plain := &net.Dialer{Timeout: rawDialTimeout}
	connect := plain.DialContext
	if s.tls != nil {
		connect = (&tls.Dialer{NetDialer: plain, Config: s.tls}).DialContext
	}
	conn, err := connect(ctx, "tcp", s.addr)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	w := &wireConn{Conn: conn, in: bufio.NewReaderSize(conn, 256<<10)}
	return w, func() { stop(); conn.Close() }, nil
}

// readFrame returns the payload of the next response after its correlation id.
// It is valid until the next call.
func (c *wireConn) readFrame() (correlation int32, payload []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return 0, nil, err
	}
	size := int32(binary.BigEndian.Uint32(head[:]))
	if size < 4 || size > maxFrame {
		return 0, nil, fmt.Errorf("%w: a frame of %d bytes", ErrProtocol, size)
	}
	if cap(c.payload) < int(size)-4 {
		c.payload = make([]byte, size-4)
	}
	c.payload = c.payload[:size-4]
	if _, err := io.ReadFull(c.in, c.payload); err != nil {
		return 0, nil, err
	}
	return int32(binary.BigEndian.Uint32(head[4:])), c.payload, nil
}

// appendFrame writes a request with its size and header.
func appendFrame(dst []byte, req kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID(rawClientID)).AppendRequest(dst, req, correlation)
}

// correlationAt is where a frame holds its correlation id: size, key, version.
const correlationAt = 8

// quiet drops the error that a deliberate end of the run causes.
func quiet(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
