package controller

import (
	"context"

	"github.com/leatstream/leat/broker/coordination"
)

// BrokerInfo is what a broker announces about itself.
type BrokerInfo struct {
	ID            int32 // -1: generate one above ReservedMaxID
	Rack          string
	Endpoints     []coordination.Endpoint
	JMXPort       int32 // -1: none
	ReservedMaxID int32
	NowMs         int64
}

// Registration is what a broker learns when it registers.
type Registration struct {
	BrokerID  int32
	ClusterID string
	Epoch     int64 // broker epoch: the czxid of the registration
}

// Prepare makes the persistent nodes every broker expects and returns the
// cluster's id, making one if there is none.
func Prepare(ctx context.Context, tree coordination.Tree) (clusterID string, err error) {
	return "", nil
}

// RegisterBroker announces a broker under /brokers/ids. It calls Prepare.
func RegisterBroker(ctx context.Context, tree coordination.Tree, info BrokerInfo) (Registration, error) {
	return Registration{}, nil
}
