package coordinator

import "errors"

var (
	// ErrNotCoordinator: another broker leads the partition.
	ErrNotCoordinator = errors.New("coordinator: not the coordinator for this key")
	// ErrLoadInProgress: the partition is being replayed.
	ErrLoadInProgress = errors.New("coordinator: load in progress")
	// ErrNotAvailable: the shard cannot take the request now; try again.
	ErrNotAvailable = errors.New("coordinator: not available")
)
