package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/cmd/internal/message"
)

// maxShownFailures bounds the failed records that are told one by one.
const maxShownFailures = 3

type produceFlags struct {
	key            string
	keySet         bool
	headers        []string
	format         string
	partition      int32
	keepPartitions bool
	acks           string
	compression    string
	rate           float64
	repeat         int
}

func newTopicProduceCmd(a *App) *cobra.Command {
	var f produceFlags
	cmd := &cobra.Command{
		Use: "produce TOPIC", Short: "Write records from standard input",
		Long: "Write records from standard input, by default one value a line.\n\nThe format of -f:\n" + message.FormatHelp,
		Example: "  echo hello | leat topic produce greetings -k en\n" +
			"  leat topic produce orders -f '%k\\t%v\\n' < orders.tsv\n" +
			"  leat topic consume a --format ndjson --exit-at-end | leat topic produce b -f ndjson",
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeTopics(),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.keySet = cmd.Flags().Changed("key")
			return a.produce(cmd.Context(), args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.key, "key", "k", "", "key of every record that brings none")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "header name:value for every record; repeatable")
	flags.StringVarP(&f.format, "record-format", "f", `%v\n`, `how records are written in the input: verbs, or ndjson`)
	flags.Int32VarP(&f.partition, "partition", "p", -1, "partition for every record that names none; -1: by key")
	flags.BoolVar(&f.keepPartitions, "keep-partitions", false, "obey the partitions named in ndjson input")
	flags.StringVar(&f.acks, "acks", "all", "all|1|0")
	flags.StringVarP(&f.compression, "compression", "z", "none", "none|gzip|snappy|lz4|zstd")
	flags.Float64Var(&f.rate, "rate", 0, "records a second at most; 0: no limit")
	flags.IntVar(&f.repeat, "repeat", 1, "send each record this many times")
	return cmd
}

func (a *App) produce(ctx context.Context, topic string, f produceFlags) error {
	headers, err := parseHeaders(f.headers)
	if err != nil {
		return err
	}
	if f.repeat < 1 || f.rate < 0 {
		return usageError("--repeat must be at least 1 and --rate not negative", "")
	}
	opts, err := f.options(topic)
	if err != nil {
		return usageError(err.Error(), "")
	}
	format, err := message.ParseFormat(f.format)
	if err != nil {
		return err
	}
	reader, err := message.NewReader(format, a.In)
	if err != nil {
		return err
	}
	if isTerminal(a.In) {
		fmt.Fprintln(a.Err, "one record a line; Ctrl-D ends")
	}
	return a.withClient(ctx, opts, func(cl *kgo.Client) error {
		p := &producer{app: a, client: cl, flags: f, headers: headers}
		return p.run(ctx, reader)
	})
}

func (f produceFlags) options(topic string) ([]kgo.Opt, error) {
	acks, err := acksOption(f.acks)
	if err != nil {
		return nil, err
	}
	compression, err := compressionOption(f.compression)
	if err != nil {
		return nil, err
	}
	opts := append(acks, compression...)
	return append(opts, kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation(), kgo.RecordPartitioner(chosenPartition{})), nil
}

func parseHeaders(flags []string) ([]kgo.RecordHeader, error) {
	headers := make([]kgo.RecordHeader, 0, len(flags))
	for _, flag := range flags {
		name, value, ok := strings.Cut(flag, ":")
		if !ok || name == "" {
			return nil, usageError(fmt.Sprintf("--header %q is not name:value", flag), "")
		}
		headers = append(headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return headers, nil
}

// producer sends what a reader yields. failures and failed are written by the
// client's goroutine, hence the mutex.
type producer struct {
	app     *App
	client  *kgo.Client
	flags   produceFlags
	headers []kgo.RecordHeader

	mu       sync.Mutex
	done     int
	failed   int
	failures []error // the first few
}

func (p *producer) run(ctx context.Context, reader *message.Reader) error {
	readErr := p.send(ctx, reader)
	if err := p.client.Flush(ctx); err != nil && readErr == nil {
		readErr = err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.app.verbose || isTerminal(p.app.In) {
		fmt.Fprintf(p.app.Err, "%d records written, %d failed\n", p.done, p.failed)
	}
	if readErr != nil {
		return readErr
	}
	if p.failed > len(p.failures) {
		p.failures = append(p.failures, fmt.Errorf("and %d more records failed", p.failed-len(p.failures)))
	}
	return p.app.partly(p.done, p.failures)
}

func (p *producer) send(ctx context.Context, reader *message.Reader) error {
	pace := newPacer(p.flags.rate, time.Now())
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &cliError{code: exitFailed, text: err.Error(), err: err}
		}
		p.complete(record)
		for i := range p.flags.repeat {
			if err := pace.wait(ctx); err != nil {
				return err
			}
			one := record
			if i < p.flags.repeat-1 {
				clone := *record
				one = &clone
			}
			p.client.Produce(ctx, one, p.finished)
		}
	}
}

// complete fills in what the input did not say.
func (p *producer) complete(r *kgo.Record) {
	if r.Key == nil && p.flags.keySet {
		r.Key = []byte(p.flags.key)
	}
	r.Headers = append(r.Headers, p.headers...)
	if p.flags.format == "ndjson" && !p.flags.keepPartitions {
		r.Partition = -1
	}
	if r.Partition < 0 {
		r.Partition = p.flags.partition
	}
}

func (p *producer) finished(_ *kgo.Record, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.done++
		return
	}
	p.failed++
	if len(p.failures) < maxShownFailures {
		p.failures = append(p.failures, fmt.Errorf("record not written: %w", err))
	}
}

// chosenPartition obeys a record's partition when it is not negative, and
// otherwise hashes keys as Kafka's clients do.
type chosenPartition struct{}

func (chosenPartition) ForTopic(topic string) kgo.TopicPartitioner {
	return &chosenTopicPartition{kgo.StickyKeyPartitioner(nil).ForTopic(topic)}
}

type chosenTopicPartition struct{ byKey kgo.TopicPartitioner }

func (c *chosenTopicPartition) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || c.byKey.RequiresConsistency(r)
}

func (c *chosenTopicPartition) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return c.byKey.Partition(r, n)
}

func (c *chosenTopicPartition) OnNewBatch() {
	if sticky, ok := c.byKey.(kgo.TopicPartitionerOnNewBatch); ok {
		sticky.OnNewBatch()
	}
}

// pacer lets events pass at a fixed rate, measured from its start, so that a
// slow stretch is caught up.
type pacer struct {
	rate  float64 // events a second; 0: no limit
	start time.Time
	count int
}

func newPacer(rate float64, start time.Time) *pacer { return &pacer{rate: rate, start: start} }

// due is the moment of the next event.
func (p *pacer) due() time.Time {
	return p.start.Add(time.Duration(float64(p.count) / p.rate * float64(time.Second)))
}

func (p *pacer) wait(ctx context.Context) error {
	if p.rate <= 0 {
		return ctx.Err()
	}
	delay := time.Until(p.due())
	p.count++
	if delay <= 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(delay):
		return nil
	}
}
