package api_test

import (
	"fmt"
	"testing"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/leatstream/leat/broker/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// at sets the version of a request.
func at[Q kmsg.Request](version int16, req Q) Q {
	req.SetVersion(version)
	return req
}

// ask sends a request and returns its answer in its own type.
func ask[A kmsg.Response](t *testing.T, c *brokertest.Conn, req kmsg.Request) A {
	t.Helper()
	resp, ok := c.MustAsk(req).(A)
	if !ok {
		t.Fatalf("the answer is not a %T", resp)
	}
	return resp
}

// wantCode compares an error code with the wanted error, nil for none.
func wantCode(t *testing.T, what string, got int16, want *kerr.Error) {
	t.Helper()
	var code int16
	if want != nil {
		code = want.Code
	}
	if got != code {
		t.Errorf("%s: %v, want %v", what, kerr.ErrorForCode(got), want)
	}
}

// Every key that is listed answers in every version that is listed, and the
// answer has exactly the bytes that its version asks for.
func TestEveryVersionAnswers(t *testing.T) {
	b := brokertest.Start(t, nil)
	for _, row := range wire.APIs() {
		for v := row.Min; v <= row.Max; v++ {
			t.Run(fmt.Sprintf("%s/v%d", row.Name, v), func(t *testing.T) {
				req := kmsg.RequestForKey(row.Key)
				req.SetVersion(v)
				if d, ok := req.(interface{ Default() }); ok {
					d.Default()
				}
				switch req := req.(type) {
				case *kmsg.ApiVersionsRequest:
					req.ClientSoftwareName, req.ClientSoftwareVersion = "test", "1"
				case *kmsg.ProduceRequest:
					req.Acks = 1
				}
				b.Dial().MustAsk(req)
			})
		}
	}
}

// A body that ends too early closes its connection, and no other.
func TestShortBodyCloses(t *testing.T) {
	b := brokertest.Start(t, nil)
	other := b.Dial()
	for _, row := range wire.APIs() {
		req := kmsg.RequestForKey(row.Key)
		req.SetVersion(row.Max)
		if row.Key == wire.ListGroups || row.Key == wire.ApiVersions {
			continue // hardly a byte to leave out
		}
		c := b.Dial()
		frame := brokertest.Frame(req, 1)
		cut := frame[:len(frame)-1]
		if body := req.AppendTo(nil); len(body) > 1 && body[len(body)-1] == 0 {
			cut = frame[:len(frame)-2] // the last byte is an empty tag section
		}
		cut[3] = byte(len(cut) - 4)
		c.Send(cut)
		if _, err := c.Receive(); err != brokertest.ErrClosed {
			t.Errorf("%s: %v, want a closed connection", row.Name, err)
		}
	}
	other.MustAsk(kmsg.NewPtrListGroupsRequest())
}

func TestApiVersions(t *testing.T) {
	b := brokertest.Start(t, nil)
	c := b.Dial()
	request := func(v int16, name, version string) *kmsg.ApiVersionsRequest {
		req := at(v, kmsg.NewPtrApiVersionsRequest())
		req.ClientSoftwareName, req.ClientSoftwareVersion, req.NodeID = name, version, -1
		return req
	}
	for _, tc := range []struct {
		name, version string
		at            int16
		want          *kerr.Error
	}{
		{"", "", 0, nil},
		{"", "", 2, nil},
		{"", "1", 3, kerr.InvalidRequest},
		{"a", "", 3, kerr.InvalidRequest},
		{"a", "1.0-x", 3, nil},
		{"a.", "1", 3, kerr.InvalidRequest},
		{"-a", "1", 3, kerr.InvalidRequest},
		{"a_b", "1", 4, kerr.InvalidRequest},
	} {
		resp := ask[*kmsg.ApiVersionsResponse](t, c, request(tc.at, tc.name, tc.version))
		wantCode(t, fmt.Sprintf("v%d %q %q", tc.at, tc.name, tc.version), resp.ErrorCode, tc.want)
		if tc.want == nil && len(resp.ApiKeys) != len(wire.APIs()) {
			t.Errorf("v%d: %d keys, want %d", tc.at, len(resp.ApiKeys), len(wire.APIs()))
		}
		if resp.FinalizedFeaturesEpoch != -1 || len(resp.SupportedFeatures)+len(resp.FinalizedFeatures) != 0 {
			t.Errorf("v%d: features in %+v", tc.at, resp)
		}
	}
	for _, tc := range []struct {
		cluster string
		node    int32
		want    *kerr.Error
	}{
		{b.ClusterID(), b.ID(), nil},
		{b.ClusterID(), b.ID() + 1, kerr.RebootstrapRequired},
		{"another", b.ID(), kerr.RebootstrapRequired},
	} {
		req := request(5, "a", "1")
		req.ClusterID, req.NodeID = &tc.cluster, tc.node
		resp := ask[*kmsg.ApiVersionsResponse](t, c, req)
		wantCode(t, fmt.Sprintf("cluster %s node %d", tc.cluster, tc.node), resp.ErrorCode, tc.want)
	}
}
