package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/replica"
	"github.com/leatstream/leat/broker/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want *kerr.Error
	}{
		{fmt.Errorf("append to a-0: %w", commitlog.ErrCorruptBatch), kerr.CorruptMessage},
		{commitlog.ErrNoSpace, kerr.KafkaStorageError},
		{replica.ErrNotEnoughReplicasAfterAppend, kerr.NotEnoughReplicasAfterAppend},
		{replica.ErrUnknownIsolation, kerr.UnknownServerError},
		{context.DeadlineExceeded, kerr.RequestTimedOut},
		{fmt.Errorf("for you: %w", refuse(kerr.InvalidRequest, "no")), kerr.InvalidRequest},
		{fs.ErrPermission, kerr.UnknownServerError},
	} {
		if got := code(c.err); got != c.want.Code {
			t.Errorf("%v: code %d, want %v", c.err, got, c.want)
		}
	}
	if code(nil) != 0 || message(nil) != nil {
		t.Error("nil is not a success")
	}
	// Every row is reachable: no earlier one takes its error.
	for _, row := range codes {
		if got := kafkaError(row.err); got != row.kafka {
			t.Errorf("%v: %v, want %v", row.err, got, row.kafka)
		}
	}
}

// Clients see why they are refused, but not what went wrong inside.
func TestMessage(t *testing.T) {
	if got := *message(refuse(kerr.InvalidRequest, "no %s", "way")); got != "no way" {
		t.Errorf("message %q", got)
	}
	inside := fmt.Errorf("open /secret/place: %w", errors.New("boom"))
	if got := *message(inside); got != kerr.UnknownServerError.Message {
		t.Errorf("message of an unexpected error: %q", got)
	}
}

// A handler stands behind every key that ApiVersions lists, and no other.
func TestRegistryIsComplete(t *testing.T) {
	keys := registry()
	for _, row := range wire.APIs() {
		if keys[row.Key] == nil {
			t.Errorf("no handler for %s", row.Name)
		}
		delete(keys, row.Key)
	}
	for key := range keys {
		t.Errorf("handler for key %d, which is not listed", key)
	}
}

// No body makes a decoder panic.
func FuzzDecode(f *testing.F) {
	for _, row := range wire.APIs() {
		f.Add(row.Key, row.Max, []byte{0, 1, 2, 0xff, 0, 0, 0, 3})
	}
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		row, ok := wire.Lookup(key)
		if !ok || !row.Supports(version) {
			return
		}
		req := kmsg.RequestForKey(key)
		req.SetVersion(version)
		if err := req.ReadFrom(body); err == nil {
			req.AppendTo(nil)
		}
	})
}
