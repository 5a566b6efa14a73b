package api

import (
	"github.com/leatstream/leat/broker/server"
	"github.com/leatstream/leat/broker/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// apiVersions lists the served keys. It is the one request that a client may
// send before it has authenticated. Requests of an unknown version never come
// here: they are answered before their body is looked at.
func (a *API) apiVersions(r *server.Request, req *kmsg.ApiVersionsRequest) kmsg.Response {
	resp := kmsg.NewPtrApiVersionsResponse()
	switch {
	case req.Version >= 3 && !(validSoftware(req.ClientSoftwareName) && validSoftware(req.ClientSoftwareVersion)):
		resp.ErrorCode = kerr.InvalidRequest.Code
	case a.wrongBroker(req):
		resp.ErrorCode = kerr.RebootstrapRequired.Code
	default:
		for _, k := range wire.APIs() {
			row := kmsg.NewApiVersionsResponseApiKey()
			row.ApiKey, row.MinVersion, row.MaxVersion = k.Key, k.Min, k.Max
			resp.ApiKeys = append(resp.ApiKeys, row)
		}
	}
	return resp
}

// wrongBroker reports whether the client means to speak to another broker, which
// lived at this address before.
func (a *API) wrongBroker(req *kmsg.ApiVersionsRequest) bool {
	return req.Version >= 5 && req.ClusterID != nil &&
		(*req.ClusterID != a.ClusterID || req.NodeID != a.BrokerID)
}

// validSoftware reports whether s may name a client software or its version:
// letters, digits, dots and dashes, beginning and ending with a letter or digit.
func validSoftware(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		edge := i == 0 || i == len(s)-1
		if c := s[i]; !alphanumeric(c) && (edge || c != '.' && c != '-') {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
