package admin

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Cluster is the cluster as a whole.
type Cluster struct {
	ClusterID       string   `json:"cluster_id" col:"Cluster,name"`
	Controller      int32    `json:"controller" col:"Controller"`
	Brokers         []Broker `json:"brokers" col:"Brokers"`
	Topics          int      `json:"topics" col:"Topics"` // without internal ones
	Partitions      int      `json:"partitions" col:"Partitions"`
	UnderReplicated int      `json:"under_replicated" col:"Under-replicated"`
	Offline         int      `json:"offline" col:"Offline"`
}

// Broker is a line of the list of brokers.
type Broker struct {
	ID         int32   `json:"broker_id" col:"BROKER,name"`
	Host       string  `json:"host" col:"HOST"`
	Port       int32   `json:"port" col:"PORT"`
	Rack       *string `json:"rack" col:"RACK"`
	Controller bool    `json:"controller" col:"CONTROLLER"`
}

// DescribeCluster reads the cluster's metadata and counts what is unwell.
func DescribeCluster(ctx context.Context, cl *kadm.Client) (Cluster, error) {
	m, err := cl.Metadata(ctx)
	if err != nil {
		return Cluster{}, fmt.Errorf("describe cluster: %w", err)
	}
	c := Cluster{ClusterID: m.Cluster, Controller: m.Controller, Brokers: []Broker{}}
	for _, b := range m.Brokers {
		c.Brokers = append(c.Brokers, Broker{ID: b.NodeID, Host: b.Host, Port: b.Port, Rack: b.Rack, Controller: b.NodeID == m.Controller})
	}
	for _, t := range m.Topics {
		if missing(t) {
			continue
		}
		if !isInternal(t) {
			c.Topics++
		}
		c.Partitions += len(t.Partitions)
		for _, p := range t.Partitions {
			if len(p.ISR) < len(p.Replicas) {
				c.UnderReplicated++
			}
			if p.Leader < 0 {
				c.Offline++
			}
		}
	}
	return c, nil
}
