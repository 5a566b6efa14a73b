package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/cmd/internal/output"
)

func newGroupCmd(a *App) *cobra.Command {
	cmd := &cobra.Command{Use: "group", Aliases: []string{"groups"}, Short: "List and describe consumer groups"}
	cmd.AddCommand(newGroupListCmd(a), newGroupDescribeCmd(a))
	return cmd
}

func newGroupListCmd(a *App) *cobra.Command {
	var lag bool
	var states []string
	cmd := a.formatFlag(&cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List consumer groups",
		Example: "  leat group list --lag\n  leat group list --state Stable,Empty --format json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.format == output.Help {
				return output.List[admin.Group](a.printer(), nil)
			}
			return a.withAdmin(cmd.Context(), func(ctx context.Context, cl *kadm.Client) error {
				groups, err := admin.Groups(ctx, cl, states, lag)
				if err != nil {
					return err
				}
				return output.List(a.printer(), groups)
			})
		},
	})
	cmd.Flags().BoolVar(&lag, "lag", false, "also count members and lag")
	cmd.Flags().StringSliceVar(&states, "state", nil, "only groups in these states: Stable, Empty, PreparingRebalance, CompletingRebalance, Dead")
	return cmd
}

func newGroupDescribeCmd(a *App) *cobra.Command {
	return a.formatFlag(&cobra.Command{
		Use: "describe GROUP", Short: "Show a group's members, offsets and lag",
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeGroups(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.format == output.Help {
				return output.One(a.printer(), admin.GroupDetail{})
			}
			return a.withAdmin(cmd.Context(), func(ctx context.Context, cl *kadm.Client) error {
				detail, err := admin.DescribeGroup(ctx, cl, args[0])
				if errors.Is(err, admin.ErrNotFound) {
					return &cliError{code: exitNotFound, text: err.Error(), next: "leat group list -b " + a.bootstrap, err: err}
				}
				if err != nil {
					return err
				}
				return output.One(a.printer(), detail)
			})
		},
	})
}
