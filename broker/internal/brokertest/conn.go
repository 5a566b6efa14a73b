package brokertest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrClosed says that the broker has closed the connection in place of an answer.
var ErrClosed = errors.New("brokertest: connection closed")

// Conn speaks to a broker frame by frame.
type Conn struct {
	net.Conn
	t           testing.TB
	correlation int32
}

// Frame builds a request with its size in front.
func Frame(req kmsg.Request, correlation int32) []byte {
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("test"))
	return f.AppendRequest(nil, req, correlation)
}

// Ask sends a request in its version and returns the answer. ErrClosed stands
// for a closed connection; whatever else goes wrong ends the test.
func (c *Conn) Ask(req kmsg.Request) (kmsg.Response, error) {
	c.t.Helper()
	c.correlation++
	c.Send(Frame(req, c.correlation))
	body, err := c.Receive()
	if err != nil {
		return nil, err
	}
	return Decode(req, c.correlation, body)
}

// MustAsk is Ask for requests that are answered.
func (c *Conn) MustAsk(req kmsg.Request) kmsg.Response {
	c.t.Helper()
	resp, err := c.Ask(req)
	if err != nil {
		c.t.Fatalf("%s v%d: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	return resp
}

// Decode reads an answer, which must leave no byte over.
func Decode(req kmsg.Request, correlation int32, frame []byte) (kmsg.Response, error) {
	if len(frame) < 4 {
		return nil, fmt.Errorf("answer of %d bytes", len(frame))
	}
	if got := int32(binary.BigEndian.Uint32(frame)); got != correlation {
		return nil, fmt.Errorf("correlation id %d, want %d", got, correlation)
	}
	body := frame[4:]
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if resp.IsFlexible() && req.Key() != 18 {
		if len(body) == 0 || body[0] != 0 {
			return nil, fmt.Errorf("no empty tag section behind the header")
		}
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("answer cannot be decoded: %w", err)
	}
	if again := resp.AppendTo(nil); len(again) != len(body) {
		return nil, fmt.Errorf("answer has %d bytes, its content %d", len(body), len(again))
	}
	return resp, nil
}

// Send writes bytes as they are.
func (c *Conn) Send(frame []byte) {
	c.t.Helper()
	if _, err := c.Write(frame); err != nil && !errors.Is(err, net.ErrClosed) {
		c.t.Logf("send: %v", err)
	}
}

// Receive reads one frame, without its size, or ErrClosed.
func (c *Conn) Receive() ([]byte, error) {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatal("no answer")
		}
		return nil, ErrClosed
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, frame); err != nil {
		return nil, ErrClosed
	}
	return frame, nil
}
