package oracle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/leatstream/leat/deploy/testbed"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// peer is a running broker: Leat or Kafka.
type peer struct {
	name   string
	addr   string
	served map[int16]kmsg.ApiVersionsResponseApiKey
}

// serves reports whether the peer lists the version.
func (p *peer) serves(key, version int16) bool {
	a, ok := p.served[key]
	return ok && a.MinVersion <= version && version <= a.MaxVersion
}

// settings are the same for all peers; where the kits that start them have
// defaults that differ, they are spelt out.
var settings = map[string]string{
	"offsets.topic.num.partitions":             "4",
	"offsets.topic.replication.factor":         "1",
	"transaction.state.log.replication.factor": "1",
	"transaction.state.log.min.isr":            "1",
	"group.initial.rebalance.delay.ms":         "0",
	"group.min.session.timeout.ms":             "6000",
}

// startLeat starts the broker under test inside this process.
func startLeat(t *testing.T) *peer {
	b := brokertest.Start(t, settings)
	return known(t, "Leat", b.Addr)
}

// startKafka starts a Kafka, or finds one that LEAT_ORACLE names.
func startKafka(t *testing.T, version string) *peer {
	for _, named := range strings.Fields(os.Getenv("LEAT_ORACLE")) {
		if addr, ok := strings.CutPrefix(named, version+"="); ok {
			return known(t, "Kafka "+version, addr)
		}
	}
	var lines []string
	for key, value := range settings {
		lines = append(lines, key+"="+value)
	}
	return known(t, "Kafka "+version, testbed.Kafka(t, version, lines...))
}

// known asks a broker what it serves, as soon as it does.
func known(t *testing.T, name, addr string) *peer {
	p := &peer{name: name, addr: addr, served: make(map[int16]kmsg.ApiVersionsResponseApiKey)}
	testbed.Until(t, name+" tells what it serves", func() bool {
		c := &connection{addr: addr, patience: patience}
		defer c.close()
		got := c.exchange(kmsg.NewPtrApiVersionsRequest(), nil)
		resp, ok := got.resp.(*kmsg.ApiVersionsResponse)
		if ok {
			for _, a := range resp.ApiKeys {
				p.served[a.ApiKey] = a
			}
		}
		return ok && len(resp.ApiKeys) > 0
	})
	return p
}

// patience is how long an answer may take before it counts as none. Rows that
// expect none from a peer set a shorter one.
const patience = 20 * time.Second

// What became of a request.
const (
	answered = "answered"
	closed   = "closed"
	silent   = "silent"
	garbled  = "garbled" // the answer does not decode
)

// outcome is what a peer did with a request.
type outcome struct {
	what     string
	resp     kmsg.Response // of an answer that decodes
	leftover int           // bytes that the answer has beyond its content
	exact    bool          // the content, encoded again, gives the same bytes
	raw      []byte
}

// connection speaks frames with one peer. It opens when it is needed and again
// after the peer has closed it.
type connection struct {
	addr        string
	patience    time.Duration
	conn        net.Conn
	correlation int32
}

func (c *connection) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// exchange sends a request, or in its place the given frame (without its size),
// and takes the answer. The answer is decoded as one to req.
func (c *connection) exchange(req kmsg.Request, frame []byte) outcome {
	if frame == nil {
		frame = encode(req, c.correlation+1)
	}
	c.correlation++
	out := c.deliver(frame)
	if out.what != answered {
		c.close()
		return out
	}
	return decode(req, out.raw)
}

// deliver writes a frame behind its size and reads one frame.
func (c *connection) deliver(frame []byte) outcome {
	if err := c.write(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame); err != nil {
		return outcome{what: closed}
	}
	return c.read()
}

func (c *connection) write(parts ...[]byte) (err error) {
	if c.conn == nil {
		if c.conn, err = net.Dial("tcp", c.addr); err != nil {
			return err
		}
	}
	buffers := net.Buffers(parts)
	_, err = buffers.WriteTo(c.conn)
	return err
}

func (c *connection) read() outcome {
	_ = c.conn.SetReadDeadline(time.Now().Add(c.patience)) // fails only on a closed connection, as the read does
	var size [4]byte
	_, err := io.ReadFull(c.conn, size[:])
	if err == nil {
		raw := make([]byte, min(binary.BigEndian.Uint32(size[:]), 64<<20))
		if _, err = io.ReadFull(c.conn, raw); err == nil {
			return outcome{what: answered, raw: raw}
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return outcome{what: silent}
	}
	return outcome{what: closed}
}

// encode makes a frame without its size.
func encode(req kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("oracle")).AppendRequest(nil, req, correlation)[4:]
}

// decode takes an answer apart.
func decode(req kmsg.Request, raw []byte) outcome {
	out := outcome{what: garbled, raw: raw}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if len(raw) < 4 {
		return out
	}
	body := raw[4:]
	if resp.IsFlexible() && resp.Key() != 18 {
		if len(body) == 0 || body[0] != 0 {
			return out
		}
		body = body[1:]
	}
	if resp.ReadFrom(body) != nil {
		return out
	}
	again := resp.AppendTo(nil)
	return outcome{what: answered, resp: resp, leftover: len(body) - len(again), exact: string(body) == string(again), raw: raw}
}

// describe writes an outcome down, field by field.
func (o outcome) describe(label string, w *writer) {
	w.add(label, o.what)
	switch o.what {
	case garbled:
		w.add(label+".bytes", fmt.Sprintf("%x", o.raw[:min(len(o.raw), 200)]))
	case answered:
		w.add(label+".leftover", fmt.Sprint(o.leftover))
		w.add(label+".exact", fmt.Sprint(o.exact))
		w.message(label, o.resp)
	}
}
