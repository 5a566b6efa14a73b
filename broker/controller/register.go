package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/leatstream/leat/broker/coordination"
)

// BrokerInfo is what a broker announces about itself.
type BrokerInfo struct {
	ID            int32 // -1: generate one above ReservedMaxID
	Rack          string
	Endpoints     []coordination.Endpoint
	JMXPort       int32 // -1: none
	ReservedMaxID int32 // reserved.broker.max.id
	NowMs         int64
}

// Registration is what a broker learns when it registers.
type Registration struct {
	BrokerID  int32
	ClusterID string
	Epoch     int64 // broker epoch: the czxid of the registration
}

// RandomUUID makes a topic id: random, never zero, and its text never begins with
// a dash, which tools would take for an option.
func RandomUUID() coordination.UUID {
	for {
		var id coordination.UUID
		_, _ = rand.Read(id[:]) // never fails
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if !strings.HasPrefix(coordination.FormatUUID(id), "-") {
			return id
		}
	}
}

// ensure makes a persistent node and its parents where they are missing.
func ensure(ctx context.Context, tree coordination.Tree, path string) error {
	_, _, err := tree.Create(ctx, path, nil, coordination.Persistent)
	if errors.Is(err, coordination.ErrNodeExists) {
		return nil
	}
	i := strings.LastIndexByte(path, '/')
	if errors.Is(err, coordination.ErrNoNode) && i > 0 {
		if err := ensure(ctx, tree, path[:i]); err != nil {
			return err
		}
		_, _, err = tree.Create(ctx, path, nil, coordination.Persistent)
		if errors.Is(err, coordination.ErrNodeExists) {
			return nil
		}
	}
	return err
}

// Prepare makes the persistent nodes every broker expects and returns the
// cluster's id, making one if there is none. Brokers that start together agree
// on one id.
func Prepare(ctx context.Context, tree coordination.Tree) (clusterID string, err error) {
	for _, path := range coordination.PersistentPaths() {
		if err := ensure(ctx, tree, path); err != nil {
			return "", fmt.Errorf("controller: prepare %s: %w", path, err)
		}
	}
	if err := ensure(ctx, tree, coordination.ClusterPath); err != nil {
		return "", fmt.Errorf("controller: prepare cluster: %w", err)
	}
	id := coordination.FormatUUID(RandomUUID())
	_, _, err = tree.Create(ctx, coordination.ClusterIDPath, coordination.EncodeClusterID(id), coordination.Persistent)
	if err == nil {
		return id, nil
	}
	if !errors.Is(err, coordination.ErrNodeExists) {
		return "", fmt.Errorf("controller: cluster id: %w", err)
	}
	data, _, err := tree.Get(ctx, coordination.ClusterIDPath)
	if err != nil {
		return "", fmt.Errorf("controller: cluster id: %w", err)
	}
	return coordination.DecodeClusterID(data)
}

// GenerateBrokerID makes a broker id above the reserved ones that no other broker
// gets: the number of times that /brokers/seqid was written.
func GenerateBrokerID(ctx context.Context, tree coordination.Tree, reservedMaxID int32) (int32, error) {
	if err := ensure(ctx, tree, coordination.BrokerSequencePath); err != nil {
		return 0, err
	}
	stat, err := tree.Set(ctx, coordination.BrokerSequencePath, nil, coordination.AnyVersion)
	if err != nil {
		return 0, err
	}
	if stat.Version > math.MaxInt32-reservedMaxID {
		return 0, errors.New("controller: no broker id is left to generate")
	}
	return reservedMaxID + stat.Version, nil
}

// ErrBrokerIDTaken: a live broker is registered under the same id.
var ErrBrokerIDTaken = errors.New("controller: broker id is taken by a live broker")

// RegisterBroker announces a broker under /brokers/ids for as long as the
// session of the tree lives. It calls Prepare. A registration that an earlier
// session of the same process left behind is replaced; one of another broker is
// ErrBrokerIDTaken.
func RegisterBroker(ctx context.Context, tree coordination.Tree, info BrokerInfo) (Registration, error) {
	clusterID, err := Prepare(ctx, tree)
	if err != nil {
		return Registration{}, err
	}
	if info.ID < 0 {
		if info.ID, err = GenerateBrokerID(ctx, tree, info.ReservedMaxID); err != nil {
			return Registration{}, fmt.Errorf("controller: generate a broker id: %w", err)
		}
	}
	payload := (&coordination.BrokerRegistration{
		Endpoints: info.Endpoints, JMXPort: info.JMXPort, TimestampMs: info.NowMs, Rack: info.Rack,
	}).Encode()
	path := coordination.BrokerIDPath(info.ID)
	_, stat, err := tree.Create(ctx, path, payload, coordination.Ephemeral)
	if errors.Is(err, coordination.ErrNodeExists) {
		stat, err = replaceOwn(ctx, tree, path, payload)
	}
	if err != nil {
		return Registration{}, fmt.Errorf("controller: register broker %d: %w", info.ID, err)
	}
	return Registration{BrokerID: info.ID, ClusterID: clusterID, Epoch: stat.Czxid}, nil
}

// replaceOwn makes the registration again if it belongs to this very session: a
// create whose answer was lost.
func replaceOwn(ctx context.Context, tree coordination.Tree, path string, payload []byte) (coordination.Stat, error) {
	stat, exists, err := tree.Exists(ctx, path)
	if err != nil {
		return stat, err
	}
	if exists && stat.EphemeralOwner != tree.Session().ID() {
		return stat, ErrBrokerIDTaken
	}
	if exists {
		if err := tree.Delete(ctx, path, coordination.AnyVersion); err != nil {
			return stat, err
		}
	}
	_, stat, err = tree.Create(ctx, path, payload, coordination.Ephemeral)
	return stat, err
}
