package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/leatstream/leat/broker/coordination"
)

// ErrAddress: a connection string that names no servers.
var ErrAddress = errors.New("zookeeper: bad address")

// ErrNoAuth: a node may not be read without an identity, and a Reader has none.
var ErrNoAuth = errors.New("zookeeper: node is not readable for everybody")

// defaultPort is that of ZooKeeper's clients.
const defaultPort = 2181

// sessionTimeout is asked for when connecting. A Reader owns no ephemeral nodes:
// it only bounds how long a dead connection goes unnoticed.
const sessionTimeout = 10 * time.Second

// maxReply bounds one reply of a server, in bytes: the names of a topic's
// partitions or of all topics are the longest there are.
const maxReply = 64 << 20

// ParseAddress reads host[:port][,host[:port]...][/chroot], as in Kafka's
// zookeeper.connect. The chroot is "" or begins with a slash.
func ParseAddress(s string) (servers []string, chroot string, err error) {
	list, rest, found := strings.Cut(strings.TrimSpace(s), "/")
	if chroot = strings.TrimRight("/"+rest, "/"); !found {
		chroot = ""
	}
	for _, server := range strings.Split(list, ",") {
		server = strings.TrimSpace(server)
		host, port, err := net.SplitHostPort(server)
		if err != nil {
			host, port = strings.Trim(server, "[]"), strconv.Itoa(defaultPort)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" || strings.ContainsAny(host, " @=") {
			return nil, "", fmt.Errorf("%w: %q: want host:port[,host:port][/chroot]", ErrAddress, s)
		}
		servers = append(servers, net.JoinHostPort(host, port))
	}
	if strings.Contains(chroot, "//") {
		return nil, "", fmt.Errorf("%w: %q: empty element in the chroot", ErrAddress, s)
	}
	return servers, chroot, nil
}

// Reader reads nodes over one connection. When that is lost it does not come
// back: what was read before and after could belong to different moments. Its
// methods may be called concurrently.
type Reader struct {
	conn   *zk.Conn
	chroot string
	once   sync.Once
	done   chan struct{} // closed when the goroutine that follows events has ended
}

// Dial connects to one of the servers and waits for a session until ctx ends.
// The context bounds Dial alone.
func Dial(ctx context.Context, address string, logger *slog.Logger) (*Reader, error) {
	servers, chroot, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	conn, events, err := zk.Connect(servers, sessionTimeout,
		zk.WithLogger(printer{logger}), zk.WithLogInfo(false), zk.WithMaxBufferSize(maxReply))
	if err != nil {
		return nil, fmt.Errorf("zookeeper: connect to %s: %w", address, err)
	}
	r := &Reader{conn: conn, chroot: chroot, done: make(chan struct{})}
	session := make(chan struct{})
	go r.follow(events, session)
	select {
	case <-session:
		return r, nil
	case <-ctx.Done():
		r.Close()
		return nil, fmt.Errorf("zookeeper: no session with %s: %w", address, ctx.Err())
	}
}

// follow closes session when there is one, and the connection when that is lost.
// It ends with the connection.
func (r *Reader) follow(events <-chan zk.Event, session chan struct{}) {
	defer close(r.done)
	had := false
	for ev := range events {
		switch {
		case ev.State == zk.StateHasSession && !had:
			had = true
			close(session)
		case had && (ev.State == zk.StateDisconnected || ev.State == zk.StateExpired):
			r.shut()
		}
	}
}

func (r *Reader) shut() { r.once.Do(func() { go r.conn.Close() }) }

// Close ends the session.
func (r *Reader) Close() {
	r.once.Do(r.conn.Close)
	<-r.done
}

// Get returns data and stat of a node, or coordination.ErrNoNode.
func (r *Reader) Get(ctx context.Context, path string) ([]byte, coordination.Stat, error) {
	if err := ctx.Err(); err != nil {
		return nil, coordination.Stat{}, err
	}
	data, stat, err := r.conn.Get(r.full(path))
	if err != nil {
		return nil, coordination.Stat{}, wrap("get", path, err)
	}
	return data, convert(stat), nil
}

// Children returns the names of a node's children in ascending order, or
// coordination.ErrNoNode.
func (r *Reader) Children(ctx context.Context, path string) ([]string, coordination.Stat, error) {
	if err := ctx.Err(); err != nil {
		return nil, coordination.Stat{}, err
	}
	names, stat, err := r.conn.Children(r.full(path))
	if err != nil {
		return nil, coordination.Stat{}, wrap("list", path, err)
	}
	slices.Sort(names)
	return names, convert(stat), nil
}

// full puts the chroot before a path.
func (r *Reader) full(path string) string {
	if path == "/" && r.chroot != "" {
		return r.chroot
	}
	return r.chroot + path
}

func wrap(op, path string, err error) error {
	for from, to := range map[error]error{
		zk.ErrNoNode:           coordination.ErrNoNode,
		zk.ErrNoAuth:           ErrNoAuth,
		zk.ErrInvalidPath:      coordination.ErrBadArguments,
		zk.ErrSessionExpired:   coordination.ErrSessionExpired,
		zk.ErrConnectionClosed: coordination.ErrConnectionLoss,
		zk.ErrClosing:          coordination.ErrConnectionLoss,
	} {
		if errors.Is(err, from) {
			err = to
		}
	}
	return fmt.Errorf("zookeeper: %s %s: %w", op, path, err)
}

func convert(s *zk.Stat) coordination.Stat {
	return coordination.Stat{
		Czxid: s.Czxid, Mzxid: s.Mzxid, Pzxid: s.Pzxid, Ctime: s.Ctime, Mtime: s.Mtime,
		Version: s.Version, Cversion: s.Cversion, Aversion: s.Aversion,
		EphemeralOwner: s.EphemeralOwner, DataLength: s.DataLength, NumChildren: s.NumChildren,
	}
}

// printer takes what the client library says.
type printer struct{ log *slog.Logger }

// Printf implements zk.Logger.
func (p printer) Printf(format string, args ...any) {
	p.log.Debug("zookeeper client", "says", fmt.Sprintf(format, args...))
}
