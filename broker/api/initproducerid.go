package api

import (
	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The producer id and epoch of a producer that has none.
const (
	noProducerID    int64 = -1
	noProducerEpoch int16 = -1
)

// errNoTransactions is the answer to transactional producers. Of all codes it is
// the one on which every client stops at once and says so; after any other some
// of them ask for the coordinator again and again.
var errNoTransactions = refuse(kerr.TransactionalIDAuthorizationFailed, "this broker does not serve transactions")

// initProducerID gives an idempotent producer its id. What the producer had
// before does not matter: it gets a fresh id in epoch 0.
func (a *API) initProducerID(r *server.Request, req *kmsg.InitProducerIDRequest) kmsg.Response {
	resp := kmsg.NewPtrInitProducerIDResponse()
	id, err := a.newProducerID(r, req)
	if err != nil {
		resp.ErrorCode, resp.ProducerID, resp.ProducerEpoch = code(err), noProducerID, noProducerEpoch
		return resp
	}
	resp.ProducerID = id
	return resp
}

func (a *API) newProducerID(r *server.Request, req *kmsg.InitProducerIDRequest) (int64, error) {
	switch {
	case (req.ProducerID == noProducerID) != (req.ProducerEpoch == noProducerEpoch):
		return 0, refuse(kerr.InvalidRequest, "producer id %d and epoch %d do not go together", req.ProducerID, req.ProducerEpoch)
	case req.TransactionalID != nil && *req.TransactionalID == "":
		return 0, refuse(kerr.InvalidRequest, "the transactional id is empty")
	case req.TransactionalID != nil:
		return 0, errNoTransactions
	case !a.authorizedCluster(r, auth.IdempotentWrite):
		return 0, refuse(kerr.ClusterAuthorizationFailed, "not authorized to write idempotently")
	}
	return a.ProducerIDs.Next(a.ctx)
}
