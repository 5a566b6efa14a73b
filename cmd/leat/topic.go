package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/cmd/internal/output"
)

func newTopicCmd(a *App) *cobra.Command {
	cmd := &cobra.Command{Use: "topic", Aliases: []string{"topics"}, Short: "List, make and delete topics; write and read their records"}
	cmd.AddCommand(
		newTopicListCmd(a), newTopicCreateCmd(a), newTopicDescribeCmd(a), newTopicDeleteCmd(a),
		newTopicProduceCmd(a), newTopicConsumeCmd(a), newTopicTailCmd(a),
	)
	return cmd
}

func newTopicListCmd(a *App) *cobra.Command {
	var pattern, sortBy string
	var internal bool
	cmd := a.formatFlag(&cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List topics",
		Example: "  leat topic list\n  leat topic list --internal --sort size --format json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.format == output.Help {
				return output.List[admin.Topic](a.printer(), nil)
			}
			re, err := regexp.Compile(pattern)
			if err != nil {
				return usageError("--regex: "+err.Error(), "")
			}
			order, err := topicOrder(sortBy)
			if err != nil {
				return err
			}
			return a.withAdmin(cmd.Context(), func(ctx context.Context, cl *kadm.Client) error {
				topics, err := admin.Topics(ctx, cl, internal)
				if err != nil {
					return err
				}
				topics = slices.DeleteFunc(topics, func(t admin.Topic) bool { return !re.MatchString(t.Name) })
				slices.SortStableFunc(topics, order)
				return output.List(a.printer(), topics)
			})
		},
	})
	cmd.Flags().StringVarP(&pattern, "regex", "r", "", "only topics whose name matches")
	cmd.Flags().BoolVar(&internal, "internal", false, "also internal topics")
	cmd.Flags().StringVar(&sortBy, "sort", "name", "name|partitions|records|size; largest first")
	return cmd
}

func topicOrder(by string) (func(x, y admin.Topic) int, error) {
	switch by {
	case "name":
		return func(x, y admin.Topic) int { return cmp.Compare(x.Name, y.Name) }, nil
	case "partitions":
		return func(x, y admin.Topic) int { return cmp.Compare(y.Partitions, x.Partitions) }, nil
	case "records":
		return func(x, y admin.Topic) int { return cmp.Compare(y.Records, x.Records) }, nil
	case "size":
		return func(x, y admin.Topic) int { return cmp.Compare(y.SizeBytes, x.SizeBytes) }, nil
	}
	return nil, usageError(fmt.Sprintf("--sort %q: want name, partitions, records or size", by), "")
}

func newTopicDescribeCmd(a *App) *cobra.Command {
	return a.formatFlag(&cobra.Command{
		Use: "describe TOPIC", Short: "Show a topic's partitions, leaders, offsets, sizes and configs",
		Long: "Show a topic's partitions, leaders, offsets and sizes, and the configs that differ from\nthe defaults (with --format wide, json or yaml: all configs).",
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeTopics(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.format == output.Help {
				return output.One(a.printer(), admin.TopicDetail{})
			}
			return a.withAdmin(cmd.Context(), func(ctx context.Context, cl *kadm.Client) error {
				detail, err := admin.DescribeTopic(ctx, cl, args[0])
				if err != nil {
					return a.topicMissing(err)
				}
				if a.format == output.Table {
					detail.Configs = admin.NonDefault(detail.Configs) // wide has them all
				}
				return output.One(a.printer(), detail)
			})
		},
	})
}

// topicMissing proposes the list of topics when one was not found.
func (a *App) topicMissing(err error) error {
	if err == nil || !errors.Is(err, admin.ErrNotFound) {
		return err
	}
	return &cliError{code: exitNotFound, text: err.Error(), next: "leat topic list -b " + a.bootstrap, err: err}
}

// topicChange is the outcome of creating or deleting one topic.
type topicChange struct {
	Topic             string `json:"topic" col:"TOPIC,name"`
	Status            string `json:"status" col:"STATUS"`
	Partitions        int32  `json:"partitions" col:"PARTITIONS"`
	ReplicationFactor int16  `json:"replication_factor" col:"REPLICAS"`
}

type createFlags struct {
	partitions  int32
	replicas    int16
	configs     []string
	ifNotExists bool
	dryRun      bool
}

func newTopicCreateCmd(a *App) *cobra.Command {
	var f createFlags
	cmd := a.formatFlag(&cobra.Command{
		Use: "create TOPIC…", Short: "Create topics", Args: cobra.MinimumNArgs(1),
		Example: "  leat topic create orders -p 6 -c retention.ms=3600000",
		RunE: func(cmd *cobra.Command, args []string) error {
			configs, err := topicConfigFlags(f.configs)
			if err != nil {
				return err
			}
			return a.withAdmin(cmd.Context(), func(ctx context.Context, cl *kadm.Client) error {
				return a.createTopics(ctx, cl, f, configs, args)
			})
		},
	})
	cmd.Flags().Int32VarP(&f.partitions, "partitions", "p", -1, "number of partitions; -1: the broker's default")
	cmd.Flags().Int16VarP(&f.replicas, "replicas", "r", -1, "replication factor; -1: the broker's default")
	cmd.Flags().StringArrayVarP(&f.configs, "config", "c", nil, "topic config key=value; repeatable")
	cmd.Flags().BoolVar(&f.ifNotExists, "if-not-exists", false, "an existing topic is no failure")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "let the broker check the request and change nothing")
	return cmd
}

func topicConfigFlags(flags []string) (map[string]*string, error) {
	configs := make(map[string]*string, len(flags))
	for _, flag := range flags {
		key, value, ok := strings.Cut(flag, "=")
		if !ok || key == "" {
			return nil, usageError(fmt.Sprintf("--config %q is not key=value", flag), "")
		}
		configs[key] = &value
	}
	return configs, nil
}

func (a *App) createTopics(ctx context.Context, cl *kadm.Client, f createFlags, configs map[string]*string, names []string) error {
	slices.Sort(names)
	names = slices.Compact(names) // brokers refuse a name that comes twice
	create, status := cl.CreateTopics, "created"
	if f.dryRun {
		create, status = cl.ValidateCreateTopics, "valid"
	}
	responses, err := create(ctx, f.partitions, f.replicas, configs, names...)
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	changes := []topicChange{}
	var failures []error
	for _, name := range names {
		r := responses[name]
		change := topicChange{Topic: name, Status: status, Partitions: r.NumPartitions, ReplicationFactor: r.ReplicationFactor}
		switch {
		case r.Err == nil:
		case f.ifNotExists && errors.Is(r.Err, kerr.TopicAlreadyExists):
			change = existingTopic(ctx, cl, name)
		default:
			failures = append(failures, withMessage("create topic "+name, r.Err, r.ErrMessage))
			continue
		}
		changes = append(changes, change)
	}
	return a.printChanges(changes, failures)
}

// existingTopic is the row of a topic that was there before; -1 where the
// cluster does not tell.
func existingTopic(ctx context.Context, cl *kadm.Client, name string) topicChange {
	change := topicChange{Topic: name, Status: "exists", Partitions: -1, ReplicationFactor: -1}
	if details, err := cl.ListTopicsWithInternal(ctx, name); err == nil && details[name].Err == nil {
		change.Partitions = int32(len(details[name].Partitions))
		change.ReplicationFactor = int16(details[name].Partitions.NumReplicas())
	}
	return change
}

// worded is an error of a broker in the broker's own words.
type worded struct {
	text string
	err  error
}

func (e *worded) Error() string { return e.text }
func (e *worded) Unwrap() error { return e.err }

// withMessage prefers the broker's own words where it sent some; the name of
// the error, which the world searches for, follows.
func withMessage(what string, err error, message string) error {
	coded, ok := errors.AsType[*kerr.Error](err)
	if message == "" || !ok {
		return fmt.Errorf("%s: %w", what, err)
	}
	return &worded{fmt.Sprintf("%s: %s (%s)", what, strings.TrimSuffix(message, "."), coded.Message), err}
}

func (a *App) printChanges(changes []topicChange, failures []error) error {
	if len(changes) > 0 {
		if err := output.List(a.printer(), changes); err != nil {
			return err
		}
	}
	return a.partly(len(changes), failures)
}

func newTopicDeleteCmd(a *App) *cobra.Command {
	var ifExists, dryRun bool
	cmd := a.formatFlag(&cobra.Command{
		Use: "delete TOPIC…", Aliases: []string{"rm"}, Short: "Delete topics and all their records",
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: a.completeTopics(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd.Context(), nil, func(cl *kgo.Client) error {
				return a.deleteTopics(cmd.Context(), kadm.NewClient(cl), args, ifExists, dryRun)
			})
		},
	})
	cmd.Flags().BoolVar(&ifExists, "if-exists", false, "a missing topic is no failure")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be deleted")
	return cmd
}

// deleteTopics says first what will be lost; missing topics are found before
// anything is deleted.
func (a *App) deleteTopics(ctx context.Context, cl *kadm.Client, names []string, ifExists, dryRun bool) error {
	changes, failures := []topicChange{}, []error(nil)
	var existing, lost []string
	slices.Sort(names)
	names = slices.Compact(names)
	for _, name := range names {
		bounded, cancel := context.WithTimeout(ctx, a.timeout)
		detail, err := admin.DescribeTopic(bounded, cl, name)
		cancel()
		switch {
		case err == nil:
			existing = append(existing, name)
			lost = append(lost, fmt.Sprintf("%s (%d records)", name, detail.Records))
			changes = append(changes, topicChange{
				Topic: name, Status: "would be deleted",
				Partitions: int32(detail.PartitionCount), ReplicationFactor: int16(detail.ReplicationFactor),
			})
		case ifExists && errors.Is(err, admin.ErrNotFound):
		default:
			return a.topicMissing(err)
		}
	}
	if dryRun || len(existing) == 0 {
		return a.printChanges(changes, nil)
	}
	if err := a.confirm("delete "+strings.Join(lost, ", "), "leat topic delete "+strings.Join(existing, " ")); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	responses, err := cl.DeleteTopics(ctx, existing...)
	if err != nil {
		return fmt.Errorf("delete topics: %w", err)
	}
	deleted := changes[:0]
	for i, name := range existing {
		if r := responses[name]; r.Err != nil {
			failures = append(failures, withMessage("delete topic "+name, r.Err, r.ErrMessage))
			continue
		}
		changes[i].Status = "deleted"
		deleted = append(deleted, changes[i])
	}
	return a.printChanges(deleted, failures)
}
