package api

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/leatstream/leat/broker/server"
	"github.com/leatstream/leat/broker/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// handler answers one request, now or later.
type handler func(*API, *server.Request)

// registry lists the handler of every served key.
func registry() map[int16]handler {
	return map[int16]handler{
		wire.Produce:                 (*API).produce,
		wire.Fetch:                   (*API).fetch,
		wire.ListOffsets:             reply((*API).listOffsets),
		wire.Metadata:                reply((*API).metadata),
		wire.OffsetCommit:            later((*API).offsetCommit),
		wire.OffsetFetch:             later((*API).offsetFetch),
		wire.FindCoordinator:         reply((*API).findCoordinator),
		wire.JoinGroup:               later((*API).joinGroup),
		wire.Heartbeat:               later((*API).heartbeat),
		wire.LeaveGroup:              later((*API).leaveGroup),
		wire.SyncGroup:               later((*API).syncGroup),
		wire.DescribeGroups:          later((*API).describeGroups),
		wire.ListGroups:              later((*API).listGroups),
		wire.ApiVersions:             reply((*API).apiVersions),
		wire.CreateTopics:            reply((*API).createTopics),
		wire.DeleteTopics:            reply((*API).deleteTopics),
		wire.DeleteRecords:           later((*API).deleteRecords),
		wire.InitProducerId:          reply((*API).initProducerID),
		wire.OffsetForLeaderEpoch:    reply((*API).offsetForLeaderEpoch),
		wire.DescribeConfigs:         reply((*API).describeConfigs),
		wire.AlterConfigs:            reply((*API).alterConfigs),
		wire.AlterReplicaLogDirs:     reply((*API).alterReplicaLogDirs),
		wire.DescribeLogDirs:         reply((*API).describeLogDirs),
		wire.CreatePartitions:        reply((*API).createPartitions),
		wire.DeleteGroups:            later((*API).deleteGroups),
		wire.IncrementalAlterConfigs: reply((*API).incrementalAlterConfigs),
		wire.DescribeCluster:         reply((*API).describeCluster),
		wire.ListConfigResources:     reply((*API).listConfigResources),
		wire.DescribeTopicPartitions: reply((*API).describeTopicPartitions),
	}
}

var (
	errNotServed = errors.New("api: key is not served")
	errDecode    = errors.New("api: request cannot be decoded")
)

// maxBody bounds the bodies that kmsg decodes, in bytes. kmsg makes an array as
// soon as its count fits the bytes that remain, so a hostile count costs some
// hundred times the body. No honest request is near: groups and offsets must
// fit a record batch.
const maxBody = 16 << 20

// request is a pointer to a request of kmsg.
type request[T any] interface {
	*T
	kmsg.Request
}

// reply makes a handler of a function that answers at once.
func reply[T any, Q request[T]](serve func(*API, *server.Request, Q) kmsg.Response) handler {
	return func(a *API, r *server.Request) {
		req, err := decode[T, Q](r, r.Body)
		if err != nil {
			r.Close(err)
			return
		}
		send(r, serve(a, r, req))
	}
}

// later makes a handler of a function that answers by done, perhaps after it has
// returned. The request's bytes are its own.
func later[T any, Q request[T], A kmsg.Response](serve func(*API, *server.Request, Q, func(A))) handler {
	return func(a *API, r *server.Request) {
		req, err := decode[T, Q](r, bytes.Clone(r.Body))
		if err != nil {
			r.Close(err)
			return
		}
		serve(a, r, req, func(resp A) { send(r, resp) })
	}
}

// decode reads a request. Byte fields are views into body; bytes that follow a
// valid request are ignored.
func decode[T any, Q request[T]](r *server.Request, body []byte) (Q, error) {
	if len(body) > maxBody {
		return nil, fmt.Errorf("%w: %d bytes are too many", errDecode, len(body))
	}
	if err := wire.CheckCounts(r.Header.Key, r.Header.Version, body); err != nil {
		return nil, fmt.Errorf("%w: %w", errDecode, err)
	}
	req := Q(new(T))
	req.SetVersion(r.Header.Version)
	if err := req.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("%w: %s version %d: %w", errDecode, kmsg.NameForKey(r.Header.Key), r.Header.Version, err)
	}
	return req, nil
}

// send answers r in the version it came in.
func send(r *server.Request, resp kmsg.Response) {
	resp.SetVersion(r.Header.Version)
	r.Reply(server.Response{Body: resp.AppendTo(nil)})
}
