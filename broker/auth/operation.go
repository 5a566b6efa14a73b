package auth

// Operation is what a client wants to do, with the protocol's codes.
type Operation int8

// The operations that Leat asks for.
const (
	Read            Operation = 3
	Write           Operation = 4
	Create          Operation = 5
	Delete          Operation = 6
	Alter           Operation = 7
	Describe        Operation = 8
	ClusterAction   Operation = 9
	DescribeConfigs Operation = 10
	AlterConfigs    Operation = 11
	IdempotentWrite Operation = 12
)

// ResourceType is the kind of a resource, with the protocol's codes.
type ResourceType int8

// The kinds of resources.
const (
	Topic           ResourceType = 2
	Group           ResourceType = 3
	Cluster         ResourceType = 4
	TransactionalID ResourceType = 5
)

// Resource names what an operation is applied to.
type Resource struct {
	Type ResourceType
	Name string
}

// ClusterResource is the one resource of type Cluster.
var ClusterResource = Resource{Type: Cluster, Name: "kafka-cluster"}

// OperationsOf lists the operations that make sense for a type of resource. The
// list is a fresh copy.
func OperationsOf(t ResourceType) []Operation {
	switch t {
	case Topic:
		return []Operation{Read, Write, Create, Describe, Delete, Alter, DescribeConfigs, AlterConfigs}
	case Group:
		return []Operation{Read, Describe, Delete, DescribeConfigs, AlterConfigs}
	case Cluster:
		return []Operation{Create, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite, Alter, Describe}
	case TransactionalID:
		return []Operation{Describe, Write}
	}
	return nil
}
