//go:build !linux

package server

import "net"

// socket is the fast path of Linux; elsewhere connections use net.Conn alone.
type socket struct{}

func newSocket(net.Conn, *input) *socket { return nil }

func (*socket) read() (int, error) { panic("server: no socket access on this system") }

func (*socket) write([]byte, bool, bool) ([]byte, error) {
	panic("server: no socket access on this system")
}

func (*socket) Write([]byte) (int, error) {
	panic("server: no socket access on this system")
}
