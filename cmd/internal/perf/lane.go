package perf

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// lane is a connection on which produce frames are sent by one goroutine, while
// one that it owns reads the answers. close ends both.
type lane struct {
	conn   *wireConn
	hangUp func()
	next   uint32 // correlation id
	// window carries the due time of each frame without an answer; its capacity
	// bounds them.
	window chan time.Time
	reader sync.WaitGroup
	err    error // why reading ended; set before reader is done
}

// open connects to the leader of a share. Each answer is told to took; the first
// that is an error ends the reading and calls fail, which should end ctx.
func (s share) open(ctx context.Context, fail context.CancelFunc, topic string, inFlight int, took func(due time.Time, err error)) (*lane, error) {
	conn, hangUp, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	l := &lane{conn: conn, hangUp: hangUp, window: make(chan time.Time, inFlight)}
	l.reader.Go(func() {
		if l.err = l.readAnswers(topic, took); l.err != nil {
			fail() // also frees a sender that waits for the window
		}
	})
	return l, nil
}

// send writes a frame once there is room in the window. What ctx ends is no
// error.
func (l *lane) send(ctx context.Context, frame []byte, due time.Time) error {
	select {
	case l.window <- due:
	case <-ctx.Done():
		return nil
	}
	binary.BigEndian.PutUint32(frame[correlationAt:], l.next)
	l.next++
	_, err := l.conn.Write(frame)
	return err
}

// close waits for the answers that are due, and returns what went wrong with
// one, if the connection was not ended on purpose.
func (l *lane) close() error {
	close(l.window)
	l.reader.Wait()
	l.hangUp()
	return quiet(context.Background(), l.err)
}

func (l *lane) readAnswers(topic string, took func(time.Time, error)) error {
	for expected := int32(0); ; expected++ {
		due, more := <-l.window
		if !more {
			return nil
		}
		correlation, payload, err := l.conn.readFrame()
		if err != nil {
			return err
		}
		if correlation != expected {
			return fmt.Errorf("%w: correlation id %d, want %d", ErrProtocol, correlation, expected)
		}
		code, err := produceError(payload, len(topic))
		if err != nil {
			return err
		}
		if code != 0 {
			err = fmt.Errorf("produce: %w", kerr.ErrorForCode(code))
		}
		if took(due, err); err != nil {
			return err
		}
	}
}

// produceFrame encodes a request that writes a batch to one partition; the batch
// is the end of the frame.
func produceFrame(topic string, partition int32, acks int16, batch []byte) []byte {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = rawProduceVersion, acks, 30_000
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, batch
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return appendFrame(nil, req, 0)
}

// produceError finds the error code in an answer that holds one partition:
// topic count, name, partition count, partition, error code.
func produceError(payload []byte, topicLen int) (int16, error) {
	pos := 4 + 2 + topicLen + 4 + 4
	if len(payload) < pos+2 {
		return 0, fmt.Errorf("%w: a produce answer of %d bytes", ErrProtocol, len(payload))
	}
	return int16(binary.BigEndian.Uint16(payload[pos:])), nil
}
