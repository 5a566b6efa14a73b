package perf

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// RawProduce says how frames are sent.
type RawProduce struct {
	Load
	Acks        int16
	Batch       int // records in a frame
	Connections int // for each broker
	InFlight    int // frames without an answer on one connection
}

func (r RawProduce) check() error {
	if err := r.Load.check(); err != nil {
		return err
	}
	if r.Batch < 1 || int64(r.Batch)*int64(r.Size) > maxFrame/2 || r.InFlight < 1 || r.InFlight > 10_000 {
		return fmt.Errorf("%w: batch of %d records, %d in flight", ErrConfig, r.Batch, r.InFlight)
	}
	if r.Acks != -1 && r.Acks != 1 {
		return fmt.Errorf("%w: acks %d; raw frames need an answer: all or 1", ErrConfig, r.Acks)
	}
	return nil
}

// Raw sends frames that are encoded once, each a batch of records for one
// partition. cl only finds the leaders.
func (r RawProduce) Raw(ctx context.Context, cl *kgo.Client, progress func(records int64)) (Report, error) {
	if err := r.check(); err != nil {
		return Report{}, err
	}
	list, err := resolve(ctx, cl, r.Topic, r.Connections, true)
	if err != nil {
		return Report{}, err
	}
	run, cancel := withDuration(ctx, r.For)
	defer cancel()
	s := &rawSender{config: r, batches: (r.Records + int64(r.Batch) - 1) / int64(r.Batch)}
	watch := startProgress(progress, &s.records)
	defer watch()
	timer := startClock()
	err = each(list, func(part share) error { return s.connection(run, part, timer.start, float64(len(list))) })
	records := s.records.Load()
	return timer.report("produce raw", r.Topic, records, s.failed.Load(), records*int64(r.Size), &s.latency), err
}

// each runs work for every share at once and returns the first error.
func each(list []share, work func(share) error) error {
	errs := make(chan error, len(list))
	for _, part := range list {
		go func() { errs <- work(part) }()
	}
	var first error
	for range list {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// rawSender is shared by all connections of a run.
type rawSender struct {
	config  RawProduce
	batches int64 // to send in total; 0: no limit
	sent    atomic.Int64
	records atomic.Int64 // acknowledged
	failed  atomic.Int64
	latency Histogram
}

// connection sends on one connection until the load is done, while a second
// goroutine reads the answers.
func (s *rawSender) connection(ctx context.Context, part share, start time.Time, connections float64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, closeConn, err := part.dial(ctx)
	if err != nil {
		return quiet(ctx, err)
	}
	defer closeConn()

	// The channel carries the due time of each frame without an answer; its
	// capacity is the window.
	window := make(chan time.Time, s.config.InFlight)
	var reader sync.WaitGroup
	var readErr error
	reader.Go(func() {
		readErr = s.readAnswers(conn, window)
		if readErr != nil {
			cancel() // also frees a sender that waits for the window
		}
	})
	pace := newSchedule(start, s.config.Rate/float64(s.config.Batch)/connections)
	sendErr := s.sendFrames(ctx, conn, s.frames(part), pace, window)
	close(window)
	reader.Wait()
	if readErr != nil {
		return quiet(context.Background(), readErr)
	}
	return quiet(ctx, sendErr)
}

// frames encodes one produce request for each partition.
func (s *rawSender) frames(part share) [][]byte {
	batch := rawBatch(s.config.Batch, s.config.Size)
	frames := make([][]byte, len(part.partitions))
	for i, p := range part.partitions {
		req := kmsg.NewPtrProduceRequest()
		req.Version, req.Acks, req.TimeoutMillis = rawProduceVersion, s.config.Acks, 30_000
		partition := kmsg.NewProduceRequestTopicPartition()
		partition.Partition, partition.Records = p, batch
		topic := kmsg.NewProduceRequestTopic()
		topic.Topic, topic.Partitions = s.config.Topic, append(topic.Partitions, partition)
		req.Topics = append(req.Topics, topic)
		frames[i] = appendFrame(nil, req, 0)
	}
	return frames
}

func (s *rawSender) sendFrames(ctx context.Context, conn *wireConn, frames [][]byte, pace *schedule, window chan<- time.Time) error {
	for i := 0; ; i++ {
		if n := s.sent.Add(1); s.batches > 0 && n > s.batches {
			return nil
		}
		due, err := pace.next(ctx)
		if err != nil {
			return nil // the time is over
		}
		select {
		case window <- due:
		case <-ctx.Done():
			return nil
		}
		frame := frames[i%len(frames)]
		binary.BigEndian.PutUint32(frame[correlationAt:], uint32(i))
		if _, err := conn.Write(frame); err != nil {
			return err
		}
	}
}

func (s *rawSender) readAnswers(conn *wireConn, window <-chan time.Time) error {
	for expected := int32(0); ; expected++ {
		due, more := <-window
		if !more {
			return nil
		}
		correlation, payload, err := conn.readFrame()
		if err != nil {
			return err
		}
		if correlation != expected {
			return fmt.Errorf("%w: correlation id %d, want %d", ErrProtocol, correlation, expected)
		}
		code, err := produceError(payload, len(s.config.Topic))
		if err != nil {
			return err
		}
		if code != 0 {
			s.failed.Add(int64(s.config.Batch))
			return fmt.Errorf("produce: %w", kerr.ErrorForCode(code))
		}
		s.records.Add(int64(s.config.Batch))
		s.latency.Record(time.Since(due))
	}
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

// Offsets of fields in a record batch.
const (
	batchLengthAt  = 8
	batchCRCAt     = 17
	batchAttrsAt   = 21
	batchCountAt   = 57
	batchHeaderLen = 61
)

// rawBatch encodes count records of size bytes each, uncompressed.
func rawBatch(count, size int) []byte {
	now := time.Now().UnixMilli()
	batch := make([]byte, batchHeaderLen, batchHeaderLen+count*(size+16))
	batch[16] = 2 // magic
	binary.BigEndian.PutUint32(batch[12:], ^uint32(0))
	binary.BigEndian.PutUint32(batch[23:], uint32(count-1))
	binary.BigEndian.PutUint64(batch[27:], uint64(now))
	binary.BigEndian.PutUint64(batch[35:], uint64(now))
	for i := 43; i < batchCountAt; i++ {
		batch[i] = 0xff // no producer id, epoch or sequence
	}
	binary.BigEndian.PutUint32(batch[batchCountAt:], uint32(count))

	value, body := newValues(size).pattern, []byte(nil)
	for i := range count {
		body = append(body[:0], 0)                 // attributes
		body = binary.AppendVarint(body, 0)        // timestamp delta
		body = binary.AppendVarint(body, int64(i)) // offset delta
		body = binary.AppendVarint(body, -1)       // no key
		body = binary.AppendVarint(body, int64(size))
		body = append(body, value...)
		body = binary.AppendVarint(body, 0) // no headers
		batch = binary.AppendVarint(batch, int64(len(body)))
		batch = append(batch, body...)
	}
	binary.BigEndian.PutUint32(batch[batchLengthAt:], uint32(len(batch)-batchLengthAt-4))
	crc := crc32.Checksum(batch[batchAttrsAt:], crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(batch[batchCRCAt:], crc)
	return batch
}
