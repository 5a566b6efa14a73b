package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/inspect"
	"github.com/leatstream/leat/broker/commitlog/scan"
	"github.com/leatstream/leat/broker/vfs"
	"github.com/leatstream/leat/cmd/internal/output"
)

func newLogCmd(a *App) *cobra.Command {
	cmd := &cobra.Command{Use: "log", Short: "Look into the files of a broker's log"}
	cmd.AddCommand(newLogDumpCmd(a), newLogVerifyCmd(a))
	return cmd
}

type verifyFlags struct {
	noGaps bool
	max    int
}

func newLogVerifyCmd(a *App) *cobra.Command {
	var f verifyFlags
	cmd := a.formatFlag(&cobra.Command{
		Use: "verify DIR", Short: "Read a log directory and say what is damaged",
		Long: "Read a log directory, or the folder of one partition: checksums and records of all\n" +
			"batches, the order of offsets and leader epochs, indexes, snapshots and checkpoints.\n" +
			"Nothing is changed. Exit code 1 says that something is wrong.\n\n" +
			"The log of a running broker may end in a batch that is just being written. Gaps between\n" +
			"offsets are the rule in compacted topics; elsewhere --no-gaps makes them an error.",
		Example: "  leat log verify /var/lib/leat/log\n  leat log verify /var/lib/leat/log/orders-0 --no-gaps --format json",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.logVerify(cmd.Context(), args[0], f) },
	})
	cmd.Flags().BoolVar(&f.noGaps, "no-gaps", false, "offsets without a record are an error")
	cmd.Flags().IntVar(&f.max, "max-problems", 1000, "list at most this many problems")
	return cmd
}

// verified is what "leat log verify" prints.
type verified struct {
	Dir        string       `json:"dir" col:"Directory,name"`
	Partitions int          `json:"partitions" col:"Partitions"`
	Segments   int          `json:"segments" col:"Segments"`
	Batches    int64        `json:"batches" col:"Batches"`
	Records    int64        `json:"records" col:"Records"`
	Bytes      int64        `json:"bytes" col:"Size,bytes"`
	Gaps       int64        `json:"gaps" col:"Gaps"`
	Found      int          `json:"problem_count" col:"Problems"`
	Problems   []logProblem `json:"problems" col:"PROBLEMS"`
}

// logProblem is one finding. Position is null when the whole file is meant.
type logProblem struct {
	Topic     string `json:"topic" col:"TOPIC"`
	Partition *int32 `json:"partition" col:"PARTITION"`
	File      string `json:"file" col:"FILE,name"`
	Position  *int64 `json:"position" col:"POSITION"`
	Problem   string `json:"problem" col:"PROBLEM"`
}

func (a *App) logVerify(ctx context.Context, dir string, f verifyFlags) error {
	v := verified{Dir: dir, Problems: []logProblem{}}
	if a.format == output.Help {
		return output.One(a.printer(), v)
	}
	sum, err := inspect.Verify(ctx, vfs.OS{}, dir, func(p inspect.Problem) {
		if v.Found++; v.Found <= f.max {
			v.Problems = append(v.Problems, problemRow(p))
		}
	})
	if err != nil {
		return err
	}
	if sum.Partitions == 0 {
		return &cliError{code: exitNotFound, text: "no partitions in " + dir, next: "leat log verify --help"}
	}
	v.Partitions, v.Segments, v.Gaps = sum.Partitions, sum.Segments, sum.Gaps
	v.Batches, v.Records, v.Bytes = sum.Batches, sum.Records, sum.Bytes
	if err := output.One(a.printer(), v); err != nil {
		return err
	}
	switch {
	case v.Found > 0:
		return &cliError{code: exitFailed, text: fmt.Sprintf("%d problems in %s", v.Found, dir)}
	case f.noGaps && v.Gaps > 0:
		return &cliError{code: exitFailed, text: fmt.Sprintf("%d gaps between the offsets in %s", v.Gaps, dir)}
	}
	return nil
}

func problemRow(p inspect.Problem) logProblem {
	row := logProblem{Topic: p.Topic, File: p.File, Problem: p.Err.Error()}
	if p.Topic != "" {
		row.Partition = &p.Partition
	}
	if p.Position >= 0 {
		row.Position = &p.Position
	}
	return row
}

type dumpFlags struct {
	records bool
	json    bool
	max     int
	decode  string // what the records are: a key of recordDecoders, or empty
}

func newLogDumpCmd(a *App) *cobra.Command {
	var f dumpFlags
	cmd := a.formatFlag(&cobra.Command{
		Use: "dump FILE…", Short: "Print what files of a log hold",
		Long: "Print the batches of .log files, with --records their records, and the entries of\n" +
			".index, .timeindex, .txnindex and .snapshot files, of checkpoints and of\n" +
			"partition.metadata. Files are told apart by their names. The format ndjson writes\n" +
			"line by line and suits files of any size; table and json gather a whole file first.",
		Example: "  leat log dump orders-0/00000000000000000000.log\n  leat log dump --records --format ndjson orders-0/*.log\n" +
			"  leat log dump orders-0/00000000000000000000.index orders-0/leader-epoch-checkpoint",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.json {
				a.format = output.JSON
			}
			return a.logDump(cmd.Context(), args, f)
		},
	})
	cmd.Flags().BoolVar(&f.records, "records", false, "records in place of batches")
	cmd.Flags().StringVar(&f.decode, "decode", "", "decode the records of __consumer_offsets (offsets) or\n__transaction_state (transactions); implies --records")
	cmd.Flags().BoolVar(&f.json, "json", false, "the same as --format json")
	cmd.Flags().IntVarP(&f.max, "max", "n", 0, "at most this many batches or records of a file (0: all)")
	return cmd
}

func (a *App) logDump(ctx context.Context, files []string, f dumpFlags) error {
	d := &dumper{ctx: ctx, flags: f, out: a.printer(), decode: recordDecoders()[f.decode]}
	if f.decode != "" && d.decode == nil {
		return usageError("--decode takes offsets or transactions", "leat log dump --help")
	}
	d.flags.records = f.records || d.decode != nil
	d.gather = slices.Contains([]string{output.JSON, output.YAML}, a.format)
	if a.format == output.Help {
		return output.List(d.out, []dumpedFile{})
	}
	var failures []error
	for _, file := range files {
		if err := d.file(file); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			failures = append(failures, fmt.Errorf("%s: %w", file, err))
		}
	}
	if d.gather {
		if err := output.List(d.out, d.files); err != nil {
			return err
		}
	}
	return a.partly(len(files)-len(failures), failures)
}

// dumpedFile is a file in JSON: what it is, and the list that fits.
type dumpedFile struct {
	File      string         `json:"file" col:"FILE,name"`
	Kind      string         `json:"kind" col:"KIND"`
	Batches   []batchRow     `json:"batches,omitempty"`
	Records   []recordRow    `json:"records,omitempty"`
	Index     []indexRow     `json:"index,omitempty"`
	TimeIndex []timeIndexRow `json:"time_index,omitempty"`
	Aborted   []abortedRow   `json:"aborted_transactions,omitempty"`
	Producers []producerRow  `json:"producers,omitempty"`
	Offsets   []offsetRow    `json:"offsets,omitempty"`
	Epochs    []epochRow     `json:"epochs,omitempty"`
	TopicID   string         `json:"topic_id,omitempty"`
}

// dumper prints files one after the other, or gathers them for one document.
type dumper struct {
	ctx    context.Context
	flags  dumpFlags
	out    output.Printer
	gather bool
	decode recordDecoder // nil: records are shown as they are
	files  []dumpedFile
	titled int // files with a title so far
}

// file dumps one file.
func (d *dumper) file(path string) error {
	kind, base := format.KindOf(path)
	row := dumpedFile{File: path, Kind: kindName(kind)}
	if kind == format.KindUnknown {
		return usageError("not a file of a log, by its name", "leat log dump --help")
	}
	if d.out.Format == output.Table || d.out.Format == output.Wide {
		if d.titled++; d.titled > 1 {
			fmt.Fprintln(d.out.Out)
		}
		fmt.Fprintf(d.out.Out, "%s (%s)\n", path, row.Kind)
	}
	err := d.contents(&row, kind, base)
	if d.gather {
		d.files = append(d.files, row)
	}
	return err
}

// contents reads the file. What stands before a damage is printed too.
func (d *dumper) contents(row *dumpedFile, kind format.Kind, base int64) error {
	if kind == format.KindLog {
		return d.log(row)
	}
	data, err := vfs.ReadFile(vfs.OS{}, row.File, maxDumped)
	if err != nil {
		return err
	}
	switch kind {
	case format.KindOffsetIndex:
		return dumpEntries(d, &row.Index, indexRows, data, base)
	case format.KindTimeIndex:
		return dumpEntries(d, &row.TimeIndex, timeIndexRows, data, base)
	case format.KindTxnIndex:
		return dumpEntries(d, &row.Aborted, abortedRows, data, base)
	case format.KindSnapshot:
		return dumpEntries(d, &row.Producers, producerRows, data, base)
	case format.KindOffsets:
		return dumpEntries(d, &row.Offsets, offsetRows, data, base)
	case format.KindEpochs:
		return dumpEntries(d, &row.Epochs, epochRows, data, base)
	default:
		var rows []topicIDRow
		err := dumpEntries(d, &rows, topicIDRows, data, base)
		if len(rows) > 0 {
			row.TopicID = rows[0].TopicID
		}
		return err
	}
}

// maxDumped bounds files that are read as a whole, in bytes.
const maxDumped = 1 << 30

// dumpEntries decodes a file's entries into rows and prints them.
func dumpEntries[T any](d *dumper, rows *[]T, read func(data []byte, base int64) ([]T, error), data []byte, base int64) error {
	var bad error
	*rows, bad = read(data, base)
	if err := show(d, *rows); err != nil {
		return err
	}
	return bad
}

// show writes the rows of a file unless they are gathered.
func show[T any](d *dumper, rows []T) error {
	if d.gather {
		return nil
	}
	return output.List(d.out, rows)
}

func kindName(k format.Kind) string {
	return map[format.Kind]string{
		format.KindLog: "log", format.KindOffsetIndex: "offset index", format.KindTimeIndex: "time index",
		format.KindTxnIndex: "transaction index", format.KindSnapshot: "producer snapshot",
		format.KindOffsets: "offset checkpoint", format.KindEpochs: "leader epochs", format.KindTopicID: "partition metadata",
	}[k]
}

// log dumps the batches or the records of a log file.
func (d *dumper) log(row *dumpedFile) error {
	f, err := vfs.OS{}.OpenFile(row.File, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	l := logDump{d: d, row: row, file: filepath.Base(row.File)}
	defer l.it.Close()
	pos, err := scan.Batches(f, size, l.visit)
	if err != nil && d.ctx.Err() == nil {
		err = fmt.Errorf("position %d of %d: %w", pos, size, err)
	}
	return l.end(err)
}
