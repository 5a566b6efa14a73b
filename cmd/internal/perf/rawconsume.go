package perf

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// RawConsume says how frames are fetched.
type RawConsume struct {
	Reading
	Connections       int // for each broker
	MaxBytes          int32
	MaxPartitionBytes int32
	MaxWaitMillis     int32
	FromEnd           bool // start at the end instead of the beginning
}

// Raw fetches and throws away: it looks at nothing but batch headers, to count
// records and to know where to go on. cl finds leaders and offsets.
func (r RawConsume) Raw(ctx context.Context, cl *kgo.Client, progress func(records int64)) (Report, error) {
	if r.MaxBytes < 1 || r.MaxBytes > maxFrame/2 || r.MaxPartitionBytes < 1 {
		return Report{}, fmt.Errorf("%w: %d bytes at most, %d for a partition", ErrConfig, r.MaxBytes, r.MaxPartitionBytes)
	}
	list, err := resolve(ctx, cl, r.Topic, r.Connections, false)
	if err != nil {
		return Report{}, err
	}
	starts, err := r.starts(ctx, kadm.NewClient(cl))
	if err != nil {
		return Report{}, err
	}
	run, cancel := withDuration(ctx, r.For)
	defer cancel()
	f := &rawFetcher{config: r, finish: cancel}
	watch := startProgress(progress, &f.records)
	defer watch()
	timer := startClock()
	err = each(list, func(part share) error { return f.connection(run, part, starts) })
	return timer.report("consume raw", r.Topic, f.records.Load(), 0, f.bytes.Load(), nil), err
}

// starts gives the offsets to begin at.
func (r RawConsume) starts(ctx context.Context, cl *kadm.Client) (offsets kadm.ListedOffsets, err error) {
	if r.FromEnd {
		offsets, err = cl.ListEndOffsets(ctx, r.Topic)
	} else {
		offsets, err = cl.ListStartOffsets(ctx, r.Topic)
	}
	if err == nil {
		err = offsets.Error()
	}
	return offsets, err
}

// rawFetcher is shared by all connections of a run. bytes counts what the
// batches take on the wire, headers included.
type rawFetcher struct {
	config  RawConsume
	records atomic.Int64
	bytes   atomic.Int64
	finish  context.CancelFunc   // ends all connections
	seen    func(batches []byte) // if not nil, is shown what is fetched; called by all connections
}

func (f *rawFetcher) connection(ctx context.Context, part share, starts kadm.ListedOffsets) error {
	conn, closeConn, err := part.dial(ctx)
	if err != nil {
		return quiet(ctx, err)
	}
	defer closeConn()
	req, index := f.request(part, starts)
	resp := kmsg.NewPtrFetchResponse()
	var frame []byte
	for correlation := int32(0); ; correlation++ {
		if f.config.Records > 0 && f.records.Load() >= f.config.Records {
			f.finish()
		}
		if ctx.Err() != nil {
			return nil
		}
		frame = appendFrame(frame[:0], req, correlation)
		if _, err := conn.Write(frame); err != nil {
			return quiet(ctx, err)
		}
		got, payload, err := conn.readFrame()
		if err != nil {
			return quiet(ctx, err)
		}
		if got != correlation {
			return fmt.Errorf("%w: correlation id %d, want %d", ErrProtocol, got, correlation)
		}
		resp.Version = rawFetchVersion
		if err := resp.ReadFrom(payload); err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		if err := f.account(resp, index); err != nil {
			return err
		}
	}
}

// request asks for all partitions of a share; index finds each one again.
func (f *rawFetcher) request(part share, starts kadm.ListedOffsets) (*kmsg.FetchRequest, map[int32]*kmsg.FetchRequestTopicPartition) {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = rawFetchVersion, f.config.MaxWaitMillis, 1, f.config.MaxBytes
	req.SessionEpoch = -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = f.config.Topic
	topic.Partitions = make([]kmsg.FetchRequestTopicPartition, len(part.partitions))
	index := make(map[int32]*kmsg.FetchRequestTopicPartition, len(part.partitions))
	for i, p := range part.partitions {
		start, _ := starts.Lookup(f.config.Topic, p)
		partition := kmsg.NewFetchRequestTopicPartition()
		partition.Partition, partition.FetchOffset, partition.PartitionMaxBytes = p, start.Offset, f.config.MaxPartitionBytes
		topic.Partitions[i] = partition
		index[p] = &topic.Partitions[i]
	}
	req.Topics = append(req.Topics, topic)
	return req, index
}

// account counts what an answer holds and moves the offsets of the request on.
func (f *rawFetcher) account(resp *kmsg.FetchResponse, index map[int32]*kmsg.FetchRequestTopicPartition) error {
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 {
				return fmt.Errorf("fetch %s/%d: %w", f.config.Topic, p.Partition, kerr.ErrorForCode(p.ErrorCode))
			}
			asked, ok := index[p.Partition]
			if !ok {
				return fmt.Errorf("%w: partition %d was not asked for", ErrProtocol, p.Partition)
			}
			next, records, size := scanBatches(p.RecordBatches, asked.FetchOffset)
			asked.FetchOffset = next
			f.records.Add(records)
			f.bytes.Add(size)
			if f.seen != nil {
				f.seen(p.RecordBatches)
			}
		}
	}
	return nil
}
