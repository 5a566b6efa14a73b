package api

import (
	"net"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/coordinator/group"
	"github.com/leatstream/leat/broker/server"
)

// subject is who sent r.
func subject(r *server.Request) auth.Subject {
	principal, ok := r.Conn.Identity().(auth.Principal)
	if !ok {
		principal = auth.Anonymous
	}
	return auth.Subject{Principal: principal, Host: peerHost(r.Conn)}
}

// groupClient is the sender of r as groups list it.
func groupClient(r *server.Request) group.Client {
	return group.Client{ID: r.Header.ClientID, Host: "/" + peerHost(r.Conn)}
}

// authorized reports whether the sender of r may apply op to a resource.
func (a *API) authorized(r *server.Request, op auth.Operation, t auth.ResourceType, name string) bool {
	return a.Authorizer.Authorize(subject(r), op, auth.Resource{Type: t, Name: name})
}

// authorizedCluster is authorized for the cluster itself.
func (a *API) authorizedCluster(r *server.Request, op auth.Operation) bool {
	return a.Authorizer.Authorize(subject(r), op, auth.ClusterResource)
}

// noOperations stands in a response for "authorized operations not asked for".
const noOperations int32 = -1 << 31

// operations returns the operations that the sender of r may apply to res, as a
// bit field, or noOperations when they are not wanted.
func (a *API) operations(r *server.Request, wanted bool, res auth.Resource) int32 {
	if !wanted {
		return noOperations
	}
	return auth.Permitted(a.Authorizer, subject(r), res)
}

// peerHost is the address of the client without its port.
func peerHost(c *server.Conn) string {
	addr := c.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}

// listener is the name of the listener that the client connected to: it learns
// the addresses of brokers behind listeners of that name.
func listener(r *server.Request) string { return r.Conn.Listener() }
