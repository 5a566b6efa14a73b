package store

import (
	"context"
	"errors"

	"github.com/leatstream/leat/connect"
)

// ErrCorrupt is wrapped when a stored offset cannot be read.
var ErrCorrupt = errors.New("store: offsets are not readable")

// Offsets is where source offsets live. All methods may be called concurrently.
type Offsets interface {
	// Get reads the offset of one source partition; nil if there is none.
	Get(ctx context.Context, connector string, partition map[string]any) (map[string]any, error)
	// List reads all offsets of a connector, ordered by partition.
	List(ctx context.Context, connector string) ([]connect.SourceOffset, error)
	// Set stores offsets; when it returns nil they survive a crash. An entry
	// with a nil Offset is removed. All entries are stored or none.
	Set(ctx context.Context, connector string, offsets []connect.SourceOffset) error
}
