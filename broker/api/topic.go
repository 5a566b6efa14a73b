package api

import (
	"errors"

	"github.com/leatstream/leat/broker/coordinator/group"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/replica"
	"github.com/twmb/franz-go/pkg/kerr"
)

// The internal topics: clients may read them, and only coordinators write them.
const (
	offsetsTopic      = group.OffsetsTopic
	transactionsTopic = "__transaction_state"
)

// isInternal reports whether a topic belongs to a coordinator.
func isInternal(name string) bool { return name == offsetsTopic || name == transactionsTopic }

// errTopicDenied is the answer for a topic that the client has no right to.
var errTopicDenied = refuse(kerr.TopicAuthorizationFailed, "not authorized for this topic")

// missing is the error of a topic that is not there: another one when there
// never can be a topic of that name.
func missing(name string) error {
	if err := validTopic(name); err != nil {
		return err
	}
	return refuse(kerr.UnknownTopicOrPartition, "topic %q does not exist", name)
}

// validTopic says whether name can be a topic's.
func validTopic(name string) error {
	if fault := metadata.ValidateTopicName(name); fault != "" {
		return refuse(kerr.InvalidTopicException, "%s", fault)
	}
	return nil
}

// notHosted corrects the error of a partition that this broker does not host
// although the cluster has it: the client must ask its leader.
func (a *API) notHosted(tp record.TopicPartition, err error) error {
	if tp.Topic == "" && errors.Is(err, replica.ErrUnknownTopicID) {
		return replica.ErrUnknownPartition // the client has named it so, and gave no id
	}
	if !errors.Is(err, replica.ErrUnknownPartition) {
		return err
	}
	if _, ok := a.Images.Load().Partition(tp.Topic, tp.Partition); ok {
		return replica.ErrNotLeader
	}
	return err
}
