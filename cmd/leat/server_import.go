package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/cmd/internal/output"
)

type importFlags struct {
	serverFlags
	config    string // FILE by another name
	zookeeper string
	dryRun    bool
	unclean   bool
}

func newServerImportCmd(a *App) *cobra.Command {
	var f importFlags
	cmd := a.formatFlag(&cobra.Command{
		Use: "import [FILE]", Short: "Take over the log directories of a Kafka broker from its ZooKeeper",
		Long: "Fill the tree of a broker from the ZooKeeper of a Kafka cluster, so that \"leat server start\"\n" +
			"with the same FILE and flags serves what that broker has in its log directories: the same\n" +
			"topics, records, offsets, groups, settings and access lists.\n\n" +
			"The Kafka broker must be stopped, and the tree must be empty. Files of the log are only read.\n" +
			"The broker becomes the only replica of the partitions it holds in sync; others keep their\n" +
			"number and have no leader. FILE is Kafka's server.properties: broker.id and log.dirs are taken\n" +
			"from there, and its zookeeper.connect where --zookeeper is not given.",
		Example: "  leat server import config/server.properties --zookeeper localhost:2181 --dry-run\n" +
			"  leat server import config/server.properties --zookeeper zk1:2181,zk2:2181/kafka\n" +
			"  leat server import --data-dir ./leat-data --override log.dirs=/var/lib/kafka --override broker.id=1 --zookeeper localhost:2181",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.serverImport(cmd.Context(), args, f) },
	})
	flags := cmd.Flags()
	flags.StringVar(&f.zookeeper, "zookeeper", "", "ZooKeeper of the Kafka cluster, host:port[,host:port][/chroot]")
	flags.StringVar(&f.config, "config", "", "the same as FILE")
	flags.StringVar(&f.dataDir, "data-dir", "", "folder for everything that FILE does not place elsewhere")
	flags.StringArrayVar(&f.overrides, "override", nil, "broker key=value; repeatable")
	flags.BoolVar(&f.strict, "strict-config", false, "refuse unknown keys")
	flags.BoolVar(&f.dryRun, "dry-run", false, "read and check everything, say what would be done, and write nothing")
	flags.BoolVar(&f.unclean, "unclean", false, "take over partitions that are not in sync too; records that only other brokers have are lost")
	return cmd
}

// imported is what "leat server import" prints.
type imported struct {
	DryRun          bool                `json:"dry_run" col:"Dry run"`
	ClusterID       string              `json:"cluster_id" col:"Cluster,name"`
	BrokerID        int32               `json:"broker_id" col:"Broker"`
	Tree            string              `json:"tree" col:"Tree"`
	ControllerEpoch int32               `json:"controller_epoch" col:"Controller epoch"`
	NextProducerID  int64               `json:"next_producer_id" col:"Next producer id"`
	Topics          int                 `json:"topic_count" col:"Topics"`
	Taken           int                 `json:"partitions_taken" col:"Partitions taken over"`
	NotTaken        int                 `json:"partitions_not_taken" col:"Partitions without leader"`
	Nodes           int                 `json:"node_count" col:"Nodes"`
	Partitions      []importedPartition `json:"partitions" col:"PARTITIONS"`
	Carried         []importedNodes     `json:"carried" col:"CARRIED OVER"`
	Warnings        []importWarning     `json:"warnings" col:"WARNINGS"`
}

type importedPartition struct {
	Topic     string  `json:"topic" col:"TOPIC,name"`
	Partition int32   `json:"partition" col:"PARTITION"`
	Fate      string  `json:"fate" col:"FATE"`
	Replicas  []int32 `json:"replicas" col:"REPLICAS"`
	ISR       []int32 `json:"isr" col:"ISR"`
	Folder    string  `json:"folder" col:"FOLDER"`
}

type importedNodes struct {
	Kind  string `json:"kind" col:"KIND,name"`
	Count int    `json:"count" col:"COUNT"`
}

type importWarning struct {
	Text string `json:"text" col:"TEXT,name"`
}

// zookeeperKey is the key of server.properties that names the cluster's tree.
const zookeeperKey = "zookeeper.connect"

func (a *App) serverImport(ctx context.Context, args []string, f importFlags) error {
	if a.format == output.Help {
		return output.One(a.printer(), imported{})
	}
	if f.config != "" {
		if len(args) > 0 {
			return usageError("FILE is given twice", "")
		}
		args = []string{f.config}
	}
	settings, err := a.serverSettings(args, f.serverFlags)
	if err != nil {
		return err
	}
	log := a.logger()
	settings.WarnUnknown(log)
	keys := knownKeys(settings)
	if f.zookeeper == "" {
		f.zookeeper = keys[zookeeperKey]
	}
	if f.zookeeper == "" {
		return usageError("--zookeeper is needed", "leat server import config/server.properties --zookeeper localhost:2181 --dry-run")
	}
	result, err := broker.Import(ctx, broker.Config{DataDir: f.dataDir, Properties: keys}, broker.ImportOptions{
		ZooKeeper: f.zookeeper, DryRun: f.dryRun, Unclean: f.unclean, DialTimeout: a.timeout, Progress: a.importProgress(),
	}, log)
	if err != nil {
		return err
	}
	if err := output.One(a.printer(), importedRow(result, f.dryRun)); err != nil {
		return err
	}
	if !f.dryRun && keys[zookeeperKey] != "" && len(args) == 1 {
		fmt.Fprintf(a.Err, "  → run: leat server start %s --override %s=\n", args[0], zookeeperKey)
	}
	return nil
}

// importProgress writes a line a second at most to stderr.
func (a *App) importProgress() func(what string, done, total int) {
	last := time.Now()
	return func(what string, done, total int) {
		if now := time.Now(); now.Sub(last) >= time.Second {
			last = now
			fmt.Fprintf(a.Err, "leat: %d of %d %s\n", done, total, what)
		}
	}
}

func importedRow(r *broker.Imported, dryRun bool) imported {
	row := imported{
		DryRun: dryRun, ClusterID: r.ClusterID, BrokerID: r.BrokerID, Tree: r.Tree,
		ControllerEpoch: r.ControllerEpoch, NextProducerID: r.NextProducerID, Topics: r.Topics, Nodes: r.NodesTotal,
		Partitions: []importedPartition{}, Carried: []importedNodes{}, Warnings: []importWarning{},
	}
	for _, p := range r.Partitions {
		row.Partitions = append(row.Partitions, importedPartition(p))
		if p.Fate == broker.ImportTaken {
			row.Taken++
		} else {
			row.NotTaken++
		}
	}
	for kind, count := range r.Nodes {
		row.Carried = append(row.Carried, importedNodes{kind, count})
	}
	slices.SortFunc(row.Carried, func(x, y importedNodes) int { return strings.Compare(x.Kind, y.Kind) })
	for _, w := range r.Warnings {
		row.Warnings = append(row.Warnings, importWarning{w})
	}
	return row
}
