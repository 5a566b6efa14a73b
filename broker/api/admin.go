package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// errNotController sends administrative requests to the controller.
var errNotController = refuse(kerr.NotController, "this broker is not the controller")

// isController reports whether this broker is the controller, as far as it
// knows.
func (a *API) isController() bool { return a.Images.Load().ControllerID == a.BrokerID }

// requestContext bounds the wait for what a request has set in motion. With no
// time at all the wait is over before it begins.
func (a *API) requestContext(timeoutMillis int32) (context.Context, context.CancelFunc) {
	return context.WithTimeout(a.ctx, time.Duration(max(0, timeoutMillis))*time.Millisecond)
}
