package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/cmd/internal/output"
	"github.com/leatstream/leat/cmd/internal/perf"
)

func newPerfCmd(a *App) *cobra.Command {
	cmd := &cobra.Command{Use: "perf", Short: "Load a cluster and measure it"}
	cmd.AddCommand(newPerfProduceCmd(a), newPerfConsumeCmd(a), newPerfLatencyCmd(a))
	return cmd
}

type perfProduceFlags struct {
	load        perf.Load
	acks        string
	compression string
	linger      time.Duration
	raw         bool
	batch       int
	connections int
	inFlight    int
}

func newPerfProduceCmd(a *App) *cobra.Command {
	var f perfProduceFlags
	cmd := a.formatFlag(&cobra.Command{
		Use: "produce TOPIC", Short: "Measure writing",
		Long: "Measure writing with a client as applications use it, or with --raw by frames that\n" +
			"are encoded once, which measures the broker alone.\n\n" +
			"Latency counts from the moment a record (with --raw: a batch) was due at --rate, so a\n" +
			"stall is charged to everything that it delays. Without --rate it counts from the moment\n" +
			"of sending and tells little.",
		Example: "  leat perf produce t --records 1000000\n" +
			"  leat perf produce t --rate 50000 --for 30s --size 200\n" +
			"  leat perf produce t --raw --batch 500 --connections 4 --for 10s",
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeTopics(),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.load.Topic = args[0]
			return a.perfProduce(cmd.Context(), f)
		},
	})
	flags := cmd.Flags()
	flags.Int64VarP(&f.load.Records, "records", "n", 0, "end after this many records (default 100000 unless --for is given)")
	flags.DurationVar(&f.load.For, "for", 0, "end after this time")
	flags.IntVar(&f.load.Size, "size", 100, "bytes of a value")
	flags.Float64Var(&f.load.Rate, "rate", 0, "records a second; 0: as fast as possible")
	flags.StringVar(&f.acks, "acks", "all", "all|1|0")
	flags.StringVarP(&f.compression, "compression", "z", "none", "none|gzip|snappy|lz4|zstd; not with --raw")
	flags.DurationVar(&f.linger, "linger", 5*time.Millisecond, "time that the client waits to fill a batch; not with --raw")
	flags.BoolVar(&f.raw, "raw", false, "send frames that are encoded once")
	flags.IntVar(&f.batch, "batch", 100, "records in a frame, with --raw")
	flags.IntVar(&f.connections, "connections", 1, "connections to each broker, with --raw")
	flags.IntVar(&f.inFlight, "in-flight", 5, "frames without an answer on a connection, with --raw")
	return cmd
}

func (a *App) perfProduce(ctx context.Context, f perfProduceFlags) error {
	if a.format == output.Help {
		return output.One(a.printer(), perf.Report{})
	}
	if f.load.Records == 0 && f.load.For == 0 {
		f.load.Records = 100_000
	}
	opts, err := f.options()
	if err != nil {
		return usageError(err.Error(), "")
	}
	return a.withClient(ctx, opts, func(cl *kgo.Client) error {
		if err := a.mustExist(ctx, cl, f.load.Topic); err != nil {
			return err
		}
		if !f.raw {
			report, err := perf.Produce(ctx, cl, f.load, a.progress())
			return a.printReport(report, err)
		}
		load := perf.RawProduce{Load: f.load, Acks: rawAcks(f.acks), Batch: f.batch, Connections: f.connections, InFlight: f.inFlight}
		report, err := load.Raw(ctx, cl, a.progress())
		return a.printReport(report, err)
	})
}

// rawAcks is the number of a valid --acks that is not 0.
func rawAcks(name string) int16 {
	if name == "all" || name == "-1" {
		return -1
	}
	return 1
}

func (f perfProduceFlags) options() ([]kgo.Opt, error) {
	acks, err := acksOption(f.acks)
	if err != nil {
		return nil, err
	}
	compression, err := compressionOption(f.compression)
	if err != nil {
		return nil, err
	}
	if f.raw && (f.compression != "none" || f.acks == "0" || f.acks == "none") {
		return nil, fmt.Errorf("--raw sends uncompressed batches and needs answers: no --compression, no --acks 0")
	}
	return append(append(acks, compression...), kgo.ProducerLinger(f.linger), kgo.MaxBufferedRecords(100_000)), nil
}

type perfConsumeFlags struct {
	reading     perf.Reading
	raw         bool
	fromEnd     bool
	connections int
	maxBytes    int32
}

func newPerfConsumeCmd(a *App) *cobra.Command {
	var f perfConsumeFlags
	cmd := a.formatFlag(&cobra.Command{
		Use: "consume TOPIC", Short: "Measure reading",
		Long: "Measure reading with a client as applications use it, or with --raw by fetches whose\n" +
			"answers are thrown away, which measures the broker alone. Without --records and --for it\n" +
			"reads what is there now. Latency from record to reader is measured on what\n" +
			"\"leat perf produce\" wrote.",
		Example: "  leat perf consume t\n  leat perf consume t --raw --for 10s",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: a.completeTopics(),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.reading.Topic = args[0]
			return a.perfConsume(cmd.Context(), f)
		},
	})
	flags := cmd.Flags()
	flags.Int64VarP(&f.reading.Records, "records", "n", 0, "end after this many records")
	flags.DurationVar(&f.reading.For, "for", 0, "end after this time")
	flags.BoolVar(&f.fromEnd, "from-end", false, "start at the end instead of the beginning")
	flags.BoolVar(&f.raw, "raw", false, "fetch and throw away")
	flags.IntVar(&f.connections, "connections", 1, "connections to each broker, with --raw")
	flags.Int32Var(&f.maxBytes, "max-bytes", 16<<20, "bytes of an answer at most")
	return cmd
}

func (a *App) perfConsume(ctx context.Context, f perfConsumeFlags) error {
	if a.format == output.Help {
		return output.One(a.printer(), perf.Report{})
	}
	var available int64
	err := a.withAdmin(ctx, func(ctx context.Context, cl *kadm.Client) error {
		detail, err := admin.DescribeTopic(ctx, cl, f.reading.Topic)
		available = detail.Records
		return a.topicMissing(err)
	})
	if err != nil {
		return err
	}
	if f.reading.Records == 0 && f.reading.For == 0 {
		if f.fromEnd || available < 0 {
			return usageError("how much shall be read? give --records or --for", "")
		}
		if f.reading.Records = available; available == 0 {
			return a.printReport(perf.Report{Mode: "consume", Topic: f.reading.Topic}, nil)
		}
	}
	from := kgo.NewOffset().AtStart()
	if f.fromEnd {
		from = kgo.NewOffset().AtEnd()
	}
	opts := []kgo.Opt{kgo.FetchMaxBytes(f.maxBytes), kgo.FetchMaxPartitionBytes(f.maxBytes)}
	if !f.raw {
		opts = append(opts, kgo.ConsumeTopics(f.reading.Topic), kgo.ConsumeResetOffset(from))
	}
	return a.withClient(ctx, opts, func(cl *kgo.Client) error {
		if !f.raw {
			report, err := perf.Consume(ctx, cl, f.reading, a.progress())
			return a.printReport(report, err)
		}
		reading := perf.RawConsume{
			Reading: f.reading, Connections: f.connections, FromEnd: f.fromEnd,
			MaxBytes: f.maxBytes, MaxPartitionBytes: f.maxBytes, MaxWaitMillis: 500,
		}
		report, err := reading.Raw(ctx, cl, a.progress())
		return a.printReport(report, err)
	})
}

type perfLatencyFlags struct {
	load perf.Load
	acks string
	raw  bool
}

func newPerfLatencyCmd(a *App) *cobra.Command {
	var f perfLatencyFlags
	cmd := a.formatFlag(&cobra.Command{
		Use: "latency TOPIC", Short: "Measure the time from writer to reader",
		Long: "Write records at a steady rate, read them again, and tell how long each took to be\n" +
			"acknowledged and to be read. Times count from the moment a record was due, so a stall\n" +
			"is charged to everything that it delays; how late records left this process is told as\n" +
			"well (--format wide).\n\n" +
			"It uses a client as applications do, or with --raw frames that are encoded once and\n" +
			"fetches of which only the time is read, which measures the broker alone. The topic must\n" +
			"then keep batches as they are written (compression.type=producer).",
		Example: "  leat perf latency t\n  leat perf latency t --rate 5000 --for 60s --acks 1\n" +
			"  leat perf latency t --raw --for 60s --acks 1",
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeTopics(),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.load.Topic = args[0]
			return a.perfLatency(cmd.Context(), f)
		},
	})
	flags := cmd.Flags()
	flags.Int64VarP(&f.load.Records, "records", "n", 0, "end after this many records")
	flags.DurationVar(&f.load.For, "for", 0, "end after this time (default 10s unless --records is given)")
	flags.IntVar(&f.load.Size, "size", 300, "bytes of a value")
	flags.Float64Var(&f.load.Rate, "rate", 1000, "records a second")
	flags.StringVar(&f.acks, "acks", "all", "all|1")
	flags.BoolVar(&f.raw, "raw", false, "send frames that are encoded once, and read no more of fetches than the time")
	return cmd
}

func (a *App) perfLatency(ctx context.Context, f perfLatencyFlags) error {
	if a.format == output.Help {
		return output.One(a.printer(), perf.LatencyReport{})
	}
	if f.load.Records == 0 && f.load.For == 0 {
		f.load.For = 10 * time.Second
	}
	acks, err := acksOption(f.acks)
	if err != nil {
		return usageError(err.Error(), "")
	}
	if f.acks == "0" || f.acks == "none" {
		return usageError("a latency needs acknowledgements: --acks all or 1", "")
	}
	return a.withClient(ctx, append(acks, kgo.ProducerLinger(0)), func(producer *kgo.Client) error {
		if err := a.mustExist(ctx, producer, f.load.Topic); err != nil {
			return err
		}
		report, err := a.measureLatency(ctx, producer, f)
		if report.Mode != "" {
			if printErr := output.One(a.printer(), report); printErr != nil {
				return printErr
			}
		}
		return err
	})
}

// measureLatency measures with frames of its own or with a second client that
// reads.
func (a *App) measureLatency(ctx context.Context, producer *kgo.Client, f perfLatencyFlags) (perf.LatencyReport, error) {
	if f.raw {
		return perf.RawLatency{Load: f.load, Acks: rawAcks(f.acks)}.Raw(ctx, producer, a.progress())
	}
	ends, err := kadm.NewClient(producer).ListEndOffsets(ctx, f.load.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return perf.LatencyReport{}, err
	}
	consumer, err := a.newClient(kgo.ConsumePartitions(ends.KOffsets()))
	if err != nil {
		return perf.LatencyReport{}, err
	}
	defer consumer.Close()
	return perf.Latency(ctx, producer, consumer, f.load, a.progress())
}

// mustExist keeps a mistyped name from becoming a topic.
func (a *App) mustExist(ctx context.Context, cl *kgo.Client, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	details, err := kadm.NewClient(cl).ListTopicsWithInternal(ctx, topic)
	if err != nil {
		return err
	}
	if d, ok := details[topic]; !ok || d.Err != nil {
		return &cliError{
			code: exitNotFound, text: fmt.Sprintf("topic %s: %v", topic, admin.ErrNotFound),
			next: fmt.Sprintf("leat topic create %s -b %s", topic, a.bootstrap), err: admin.ErrNotFound,
		}
	}
	return nil
}

// printReport shows a report also when the run ended early.
func (a *App) printReport(r perf.Report, err error) error {
	if r.Mode != "" {
		if printErr := output.One(a.printer(), r); printErr != nil {
			return printErr
		}
	}
	return err
}

// progress rewrites one line on a terminal, and is silent elsewhere.
func (a *App) progress() func(int64) {
	if !isTerminal(a.Err) {
		return nil
	}
	last, at := int64(0), time.Now()
	return func(records int64) {
		now := time.Now()
		fmt.Fprintf(a.Err, "\r\x1b[K%d records, %.0f/s", records, float64(records-last)/now.Sub(at).Seconds())
		last, at = records, now
	}
}
