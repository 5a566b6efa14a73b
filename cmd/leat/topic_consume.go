package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/cmd/internal/message"
	"github.com/leatstream/leat/cmd/internal/output"
)

type consumeFlags struct {
	offset    string
	count     int
	group     string
	where     string
	format    string
	partition int32
	exitAtEnd bool
}

func newTopicConsumeCmd(a *App) *cobra.Command {
	var f consumeFlags
	cmd := &cobra.Command{
		Use: "consume TOPIC…", Short: "Read records to standard output",
		Long: "Read records, by default from the end on, values one a line.\n\n" +
			"Positions for -o: start, end, 42, +5, -10 (before the end), @TIME, @-1h, and ranges such as @-1h:-30m.\n\n" +
			"The format of -f:\n" + message.FormatHelp,
		Example: "  leat topic consume orders -o start --exit-at-end\n" +
			"  leat topic consume orders -o -10 -n 10 -f '%p@%o %k %v\\n'\n" +
			"  leat topic consume orders -o @-1h --where 'value.amount > 900' --format ndjson",
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: a.completeTopics(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.format == output.Help {
				return output.One(a.printer(), message.Message{})
			}
			render, err := a.recordRenderer(f.format)
			if err != nil {
				return err
			}
			return a.consume(cmd.Context(), args, f, render)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.offset, "offset", "o", "end", "where to start, or start:end")
	flags.StringVarP(&f.group, "group", "g", "", "read as a member of this group and commit what was printed")
	flags.StringVarP(&f.format, "record-format", "f", "", `how to write a record: verbs, or ndjson (default '%v\n')`)
	consumeCommonFlags(a, cmd, &f)
	return cmd
}

func newTopicTailCmd(a *App) *cobra.Command {
	f := consumeFlags{offset: "end"}
	cmd := &cobra.Command{
		Use: "tail TOPIC…", Short: "Follow topics as records arrive",
		Long:    "Follow topics from now on. Nothing is ever committed.",
		Example: "  leat topic tail orders --where 'value.amount > 900'",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: a.completeTopics(),
		RunE: func(cmd *cobra.Command, args []string) error {
			render := a.tailRenderer()
			if a.format != output.Table {
				var err error
				if render, err = a.recordRenderer(""); err != nil {
					return err
				}
			}
			return a.consume(cmd.Context(), args, f, render)
		},
	}
	consumeCommonFlags(a, cmd, &f)
	return cmd
}

func consumeCommonFlags(a *App, cmd *cobra.Command, f *consumeFlags) {
	flags := cmd.Flags()
	flags.IntVarP(&f.count, "count", "n", 0, "end after this many records; 0: no limit")
	flags.StringVar(&f.where, "where", "", "only records for which this is true: key, value, headers, ts, topic, partition, offset")
	flags.Int32VarP(&f.partition, "partition", "p", -1, "only this partition")
	flags.BoolVar(&f.exitAtEnd, "exit-at-end", false, "end at the records that are there now")
}

// renderer appends a record to dst as it shall be printed.
type renderer func(dst []byte, r *kgo.Record) []byte

func (a *App) recordRenderer(format string) (renderer, error) {
	if format == "" {
		switch a.format {
		case output.Table, output.Wide:
			format = `%v\n`
		case output.JSON, output.NDJSON:
			format = "ndjson"
		default:
			return nil, usageError(fmt.Sprintf("records cannot be written as %s; want ndjson or -f", a.format), "")
		}
	}
	compiled, err := message.ParseFormat(format)
	if err != nil {
		return nil, err
	}
	return compiled.Append, nil
}

// tailRenderer writes a line for humans: time, place, key and value.
func (a *App) tailRenderer() renderer {
	dim, bold, plain := "", "", ""
	if a.color(a.Out) {
		dim, bold, plain = "\x1b[2m", "\x1b[1m", "\x1b[0m"
	}
	return func(dst []byte, r *kgo.Record) []byte {
		dst = append(dst, dim...)
		dst = r.Timestamp.Local().AppendFormat(dst, "15:04:05.000")
		dst = fmt.Appendf(dst, " %s/%d@%d%s ", r.Topic, r.Partition, r.Offset, plain)
		if r.Key != nil {
			dst = append(dst, bold+output.Printable(string(r.Key))+plain+" "...)
		}
		value := "(null)"
		if r.Value != nil {
			value = output.Printable(string(r.Value))
		}
		dst = append(dst, value...)
		return append(dst, '\n')
	}
}

// span is the part of a partition to read: [from, to).
type span struct{ from, to int64 }

// spans by topic and partition; a partition with nothing to read is absent.
type spans map[string]map[int32]span

func (s spans) remove(topic string, partition int32) {
	delete(s[topic], partition)
	if len(s[topic]) == 0 {
		delete(s, topic)
	}
}

func (a *App) consume(ctx context.Context, topics []string, f consumeFlags, render renderer) error {
	filter, err := message.CompileFilter(f.where)
	if err != nil {
		return err
	}
	from, to, err := message.ParseRange(f.offset, time.Now())
	if err != nil {
		return err
	}
	if f.exitAtEnd && to.Kind == message.Unbounded {
		to = message.Position{Kind: message.FromEnd}
	}
	var todo spans
	err = a.withAdmin(ctx, func(ctx context.Context, cl *kadm.Client) error {
		todo, err = a.resolveSpans(ctx, cl, topics, f, from, to)
		return err
	})
	if err != nil {
		return err
	}
	c := &consumer{
		app: a, flags: f, filter: filter, render: render, todo: todo,
		bounded: to.Kind != message.Unbounded, out: bufio.NewWriterSize(a.Out, 64<<10),
	}
	if c.bounded && len(todo) == 0 {
		return nil
	}
	return a.withClient(ctx, c.options(topics, from), func(cl *kgo.Client) error { return c.run(ctx, cl) })
}

// resolveSpans turns positions into offsets, partition by partition.
func (a *App) resolveSpans(ctx context.Context, cl *kadm.Client, topics []string, f consumeFlags, from, to message.Position) (spans, error) {
	details, err := cl.ListTopicsWithInternal(ctx, topics...)
	if err != nil {
		return nil, err
	}
	for _, topic := range topics {
		if d, ok := details[topic]; !ok || d.Err != nil {
			return nil, a.topicMissing(fmt.Errorf("topic %s: %w", topic, admin.ErrNotFound))
		}
		if f.partition >= 0 && details[topic].Partitions[f.partition].Topic == "" {
			return nil, a.topicMissing(fmt.Errorf("partition %d of topic %s: %w", f.partition, topic, admin.ErrNotFound))
		}
	}
	starts, err := listed(cl.ListStartOffsets(ctx, topics...))
	if err != nil {
		return nil, err
	}
	ends, err := listed(cl.ListEndOffsets(ctx, topics...))
	if err != nil {
		return nil, err
	}
	fromTimes, err := timeOffsets(ctx, cl, from, topics)
	if err != nil {
		return nil, err
	}
	toTimes, err := timeOffsets(ctx, cl, to, topics)
	if err != nil {
		return nil, err
	}
	committed, err := committedOffsets(ctx, cl, f.group)
	if err != nil {
		return nil, err
	}
	todo := spans{}
	starts.Each(func(o kadm.ListedOffset) {
		if f.partition >= 0 && o.Partition != f.partition {
			return
		}
		end, _ := ends.Lookup(o.Topic, o.Partition)
		s := span{
			from: from.Resolve(o.Offset, end.Offset, offsetAt(fromTimes, o)),
			to:   to.Resolve(o.Offset, end.Offset, offsetAt(toTimes, o)),
		}
		if at, ok := committed.Lookup(o.Topic, o.Partition); ok && at.Err == nil && at.At >= 0 {
			s.from = at.At
		}
		if s.from < s.to {
			if todo[o.Topic] == nil {
				todo[o.Topic] = map[int32]span{}
			}
			todo[o.Topic][o.Partition] = s
		}
	})
	return todo, nil
}

// listed treats a partition without an answer as a failure: reading only part
// of a topic must not look like all of it.
func listed(offsets kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	return offsets, nil
}

func timeOffsets(ctx context.Context, cl *kadm.Client, p message.Position, topics []string) (kadm.ListedOffsets, error) {
	if p.Kind != message.AtTime {
		return nil, nil
	}
	return listed(cl.ListOffsetsAfterMilli(ctx, p.Time.UnixMilli(), topics...))
}

func offsetAt(offsets kadm.ListedOffsets, o kadm.ListedOffset) int64 {
	if found, ok := offsets.Lookup(o.Topic, o.Partition); ok {
		return found.Offset
	}
	return -1
}

func committedOffsets(ctx context.Context, cl *kadm.Client, group string) (kadm.OffsetResponses, error) {
	if group == "" {
		return nil, nil
	}
	committed, err := cl.FetchOffsets(ctx, group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil // it is about to be made
	}
	if err != nil {
		return nil, fmt.Errorf("read offsets of group %s: %w", group, err)
	}
	return committed, nil
}

// consumer prints records until its count, its spans or its context end.
type consumer struct {
	app     *App
	flags   consumeFlags
	filter  *message.Filter
	render  renderer
	todo    spans
	bounded bool // todo has ends, and reading ends when all are reached
	out     *bufio.Writer

	printed   int
	unfit     int   // records that the filter does not fit
	unfitWhy  error // the first of them
	line      []byte
	committer *kgo.Client // not nil in a group
}

func (c *consumer) options(topics []string, from message.Position) []kgo.Opt {
	// Markers of transactions take offsets; they are needed to see the end.
	opts := []kgo.Opt{kgo.KeepControlRecords()}
	if c.flags.group == "" {
		partitions := map[string]map[int32]kgo.Offset{}
		for topic, spans := range c.todo {
			partitions[topic] = map[int32]kgo.Offset{}
			for p, s := range spans {
				partitions[topic][p] = kgo.NewOffset().At(s.from)
			}
		}
		return append(opts, kgo.ConsumePartitions(partitions))
	}
	reset := kgo.NewOffset().AtEnd()
	switch from.Kind {
	case message.FromStart:
		reset = kgo.NewOffset().AtStart().Relative(from.Offset)
	case message.FromEnd:
		reset = kgo.NewOffset().AtEnd().Relative(-from.Offset)
	case message.AtOffset:
		reset = kgo.NewOffset().At(from.Offset)
	case message.AtTime:
		reset = kgo.NewOffset().AfterMilli(from.Time.UnixMilli())
	}
	return append(opts,
		kgo.ConsumerGroup(c.flags.group), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(reset),
		kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll())
}

func (c *consumer) run(ctx context.Context, cl *kgo.Client) error {
	if c.flags.group != "" {
		c.committer = cl
	}
	err := c.poll(ctx, cl)
	if flushErr := c.out.Flush(); err == nil {
		err = flushErr
	}
	if c.committer != nil {
		// The context may be over; what was printed is committed nevertheless.
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.app.timeout)
		defer cancel()
		if commitErr := cl.CommitMarkedOffsets(late); err == nil {
			err = commitErr
		}
		cl.CloseAllowingRebalance()
	}
	if c.unfit > 0 {
		fmt.Fprintf(c.app.Err, "leat: --where does not fit %d records, the first because: %v\n", c.unfit, c.unfitWhy)
	}
	return err
}

func (c *consumer) poll(ctx context.Context, cl *kgo.Client) error {
	for {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		done := false
		for records := fetches.RecordIter(); !records.Done() && !done; {
			var err error
			if done, err = c.take(records.Next()); err != nil {
				return err
			}
		}
		if err := c.out.Flush(); err != nil || done {
			return err
		}
		cl.AllowRebalance()
	}
}

// take prints one record if it is wanted and reports whether it was the last.
func (c *consumer) take(r *kgo.Record) (done bool, err error) {
	s, wanted := c.todo[r.Topic][r.Partition]
	if c.bounded && (!wanted || r.Offset >= s.to) {
		c.todo.remove(r.Topic, r.Partition)
		return len(c.todo) == 0, nil
	}
	if !r.Attrs.IsControl() {
		if done, err = c.print(r); err != nil {
			return true, err
		}
	}
	if c.committer != nil {
		c.committer.MarkCommitRecords(r)
	}
	if c.bounded && r.Offset+1 >= s.to {
		c.todo.remove(r.Topic, r.Partition)
		done = done || len(c.todo) == 0
	}
	return done, nil
}

func (c *consumer) print(r *kgo.Record) (done bool, err error) {
	matched, err := c.filter.Match(r)
	if err != nil {
		if c.unfit++; c.unfit == 1 {
			c.unfitWhy = err
		}
		return false, nil
	}
	if !matched {
		return false, nil
	}
	c.line = c.render(c.line[:0], r)
	if _, err := c.out.Write(c.line); err != nil {
		return true, err
	}
	c.printed++
	return c.flags.count > 0 && c.printed >= c.flags.count, nil
}
