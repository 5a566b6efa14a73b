package api

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Version 0 of OffsetCommit and OffsetFetch is of the time when consumers kept
// their offsets in ZooKeeper: the broker writes and reads the same znodes as
// those consumers do.

// commitToTree stores offsets under /consumers.
func (a *API) commitToTree(c *commit, topics []kmsg.OffsetCommitRequestTopic) {
	limit := a.Configs.Broker().OffsetMetadataMaxBytes
	for _, t := range topics {
		for _, p := range t.Partitions {
			tp := record.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			if p.Metadata != nil && len(*p.Metadata) > int(limit) {
				c.codes[tp] = kerr.OffsetMetadataTooLarge.Code
				continue
			}
			c.codes[tp] = code(a.storeOffset(c.req.Group, tp, p.Offset))
		}
	}
}

// fetchFromTree reads offsets from /consumers. A partition without one has
// UNKNOWN_TOPIC_OR_PARTITION, as the old consumers expect.
func (a *API) fetchFromTree(r *server.Request, req *kmsg.OffsetFetchRequest) *kmsg.OffsetFetchResponse {
	if !a.authorized(r, auth.Describe, auth.Group, req.Group) {
		return deniedOffsets(req, errGroupDenied)
	}
	resp := kmsg.NewPtrOffsetFetchResponse()
	image := a.Images.Load()
	for _, t := range req.Topics {
		if !a.authorized(r, auth.Describe, auth.Topic, t.Topic) {
			resp.Topics = append(resp.Topics, noOffsets(t, code(errTopicDenied)))
			continue
		}
		out := noOffsets(t, kerr.UnknownTopicOrPartition.Code)
		for i := range out.Partitions {
			p := &out.Partitions[i]
			if _, ok := image.Partition(t.Topic, p.Partition); !ok {
				continue
			}
			offset, err := a.loadOffset(req.Group, record.TopicPartition{Topic: t.Topic, Partition: p.Partition})
			if errors.Is(err, coordination.ErrNoNode) {
				continue
			}
			p.ErrorCode = code(err)
			if err == nil {
				p.Offset = offset
			}
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// offsetPath is the znode of a group's offset.
func offsetPath(groupID string, tp record.TopicPartition) (string, error) {
	if groupID == "" || groupID == "." || groupID == ".." || strings.ContainsRune(groupID, '/') {
		return "", refuse(kerr.InvalidGroupID, "group %q cannot be a name in the tree", groupID)
	}
	return coordination.ConsumerOffsetPath(groupID, tp.Topic, tp.Partition), nil
}

func (a *API) loadOffset(groupID string, tp record.TopicPartition) (int64, error) {
	path, err := offsetPath(groupID, tp)
	if err != nil {
		return 0, err
	}
	data, _, err := a.Tree.Get(a.ctx, path)
	if err != nil {
		return 0, err
	}
	offset, err := strconv.ParseInt(string(data), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: offset at %s: %w", coordination.ErrBadPayload, path, err)
	}
	return offset, nil
}

func (a *API) storeOffset(groupID string, tp record.TopicPartition, offset int64) error {
	path, err := offsetPath(groupID, tp)
	if err != nil {
		return err
	}
	return setOrCreate(a.ctx, a.Tree, path, strconv.AppendInt(nil, offset, 10))
}

// setOrCreate sets the data of a node, which it creates with its parents where
// they are missing.
func setOrCreate(ctx context.Context, tree coordination.Tree, path string, data []byte) error {
	_, err := tree.Set(ctx, path, data, coordination.AnyVersion)
	if !errors.Is(err, coordination.ErrNoNode) {
		return err
	}
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		if _, _, err := tree.Create(ctx, path[:i], nil, coordination.Persistent); err != nil && !errors.Is(err, coordination.ErrNodeExists) {
			return err
		}
	}
	_, _, err = tree.Create(ctx, path, data, coordination.Persistent)
	if errors.Is(err, coordination.ErrNodeExists) {
		_, err = tree.Set(ctx, path, data, coordination.AnyVersion)
	}
	return err
}
