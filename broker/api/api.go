package api

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/controller"
	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/coordinator/group"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/replica"
	"github.com/leatstream/leat/broker/server"
	"github.com/prometheus/client_golang/prometheus"
)

// Deps is what the handlers call. All fields but LogLevel must be set.
type Deps struct {
	BrokerID  int32
	ClusterID string

	Images   *metadata.Cache   // what the controller told about the cluster
	Configs  *metadata.Configs // of this broker and of all topics
	Replicas *replica.Manager  // the partitions hosted here
	Groups   *group.Service    // the groups coordinated here
	Admin    *controller.Admin // changes of topics and configurations

	Tree        coordination.Tree // offsets of OffsetCommit and OffsetFetch v0
	ProducerIDs ProducerIDs
	Authorizer  auth.Authorizer

	// LogLevel, if not nil, is the level that the broker-logger resource shows
	// and changes.
	LogLevel *slog.LevelVar

	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// ProducerIDs gives out producer ids that no other broker of the cluster has
// given out or will give out. It may be called from any goroutine.
type ProducerIDs interface {
	Next(ctx context.Context) (int64, error)
}

// API answers requests; it implements server.Handler.
type API struct {
	Deps
	*dataPath
	ctx   context.Context // ends with Close: bounds the waits of handlers
	close context.CancelFunc
	keys  map[int16]handler
}

var _ server.Handler = (*API)(nil)

// New builds the handlers over deps.
func New(deps Deps) (*API, error) {
	data, err := newDataPath(&deps)
	if err != nil {
		return nil, err
	}
	a := &API{Deps: deps, dataPath: data, keys: registry()}
	a.ctx, a.close = context.WithCancel(context.Background())
	return a, nil
}

// Close ends the waits of handlers that block: they answer at once.
func (a *API) Close() { a.close() }

// Serve answers one request.
func (a *API) Serve(r *server.Request) {
	h, ok := a.keys[r.Header.Key]
	if !ok {
		r.Close(fmt.Errorf("%w: key %d", errNotServed, r.Header.Key))
		return
	}
	h(a, r)
}
