package broker

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/server"
)

// listeners are the open sockets of a broker, by the name of their listener.
type listeners map[string]net.Listener

// listen opens all listeners, or none.
func listen(ctx context.Context, configured []metadata.Listener, stores stores) (listeners, error) {
	open := make(listeners, len(configured))
	var lc net.ListenConfig
	for _, c := range configured {
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))))
		if err != nil {
			open.close()
			return nil, fmt.Errorf("listener %s: %w", c.Name, err)
		}
		open[c.Name] = server.Listener{Listener: l, Name: c.Name, Security: stores.security(c.Name)}
	}
	return open, nil
}

func (ls listeners) close() {
	for _, l := range ls {
		l.Close()
	}
}

// port is the port that the listener really has.
func (ls listeners) port(name string) int32 {
	if addr, ok := ls[name].Addr().(*net.TCPAddr); ok {
		return int32(addr.Port)
	}
	return 0
}

// advertise says where clients reach the listeners: as configured, with the
// real port in place of 0, and with the host's name where none is given.
func (ls listeners) advertise(c *metadata.BrokerConfig, log *slog.Logger) ([]metadata.Listener, error) {
	configured := c.AdvertisedListeners
	if len(configured) == 0 {
		configured = c.Listeners
	}
	out := make([]metadata.Listener, 0, len(configured))
	for _, a := range configured {
		if ls[a.Name] == nil {
			return nil, fmt.Errorf("%w: advertised listener %s is not in listeners", ErrConfig, a.Name)
		}
		if a.Port == 0 {
			a.Port = ls.port(a.Name)
		}
		if ip := net.ParseIP(a.Host); a.Host == "" || ip != nil && ip.IsUnspecified() {
			if a.Host != "" && len(c.AdvertisedListeners) > 0 {
				return nil, fmt.Errorf("%w: listener %s cannot advertise %s: no client can connect to it", ErrConfig, a.Name, a.Host)
			}
			a.Host = hostName(log)
		}
		out = append(out, a)
	}
	return out, nil
}

// lookupWait bounds how long the start of a broker may wait for a name server.
const lookupWait = 100 * time.Millisecond

// hostName is a name of this host that can be resolved here.
func hostName(log *slog.Logger) string {
	const local = "localhost"
	name, err := os.Hostname()
	if err != nil || name == local {
		return local
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupWait)
	defer cancel()
	if _, err := net.DefaultResolver.LookupHost(ctx, name); err != nil {
		log.Warn("the name of this host cannot be resolved, so localhost is advertised; set advertised.listeners for clients on other hosts", "host", name)
		return local
	}
	return name
}
