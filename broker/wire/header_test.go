package wire

import (
	"bytes"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestHeader(t *testing.T) {
	at := func(key, version int16, rest string) []byte {
		return append([]byte{byte(key >> 8), byte(key), byte(version >> 8), byte(version), 0, 0, 0, 7}, rest...)
	}
	cases := []struct {
		name   string
		frame  []byte
		err    error
		client string
		has    bool
		body   string
	}{
		{"plain", at(Heartbeat, 0, "\x00\x02idBODY"), nil, "id", true, "BODY"},
		{"empty id", at(Heartbeat, 0, "\x00\x00"), nil, "", true, ""},
		{"null id", at(Heartbeat, 0, "\xff\xffB"), nil, "", false, "B"},
		{"id of length -2", at(Heartbeat, 0, "\xff\xfeB"), nil, "", false, "B"},
		{"flexible", at(Heartbeat, 4, "\x00\x02id\x00B"), nil, "id", true, "B"},
		{"unknown tags", at(Heartbeat, 4, "\x00\x02id\x02\x05\x01x\x05\x00B"), nil, "id", true, "B"},
		{"tag too long", at(Heartbeat, 4, "\x00\x02id\x01\x05\x09x"), ErrMalformed, "", false, ""},
		{"id too long", at(Heartbeat, 0, "\x00\x09id"), ErrMalformed, "", false, ""},
		{"no tags", at(Heartbeat, 4, "\x00\x02id"), ErrMalformed, "", false, ""},
		{"no id", at(Heartbeat, 0, ""), ErrMalformed, "", false, ""},
		{"short", []byte("1234567"), ErrMalformed, "", false, ""},
		{"ApiVersions 99", at(ApiVersions, 99, "\x00\x01c\x00"), ErrUnsupportedVersion, "c", true, ""},
		{"ApiVersions 99 without tags", at(ApiVersions, 99, "\x00\x01c"), ErrMalformed, "", false, ""},
		{"ApiVersions -1", at(ApiVersions, -1, "\x00\x01c\x00"), ErrUnsupportedVersion, "c", true, "\x00"},
		{"Heartbeat 99", at(Heartbeat, 99, "\x00\x01c\x00"), ErrUnsupportedVersion, "", false, ""},
		{"key 17", at(17, 0, "\x00\x01c"), ErrUnsupportedVersion, "", false, ""},
	}
	for _, c := range cases {
		h, body, err := ParseRequestHeader(c.frame)
		if !errors.Is(err, c.err) || string(body) != c.body {
			t.Errorf("%s: body %q, error %v", c.name, body, err)
		}
		if err == nil && (h.ClientID != c.client || h.HasClientID != c.has || h.CorrelationID != 7) {
			t.Errorf("%s: header %+v", c.name, h)
		}
	}
}

// TestHeaderReadByKmsg: headers that kmsg writes are read, for all versions.
func TestHeaderReadByKmsg(t *testing.T) {
	for _, a := range APIs() {
		versions(a.Key, func(v int16) {
			req := kmsg.RequestForKey(a.Key)
			req.SetVersion(v)
			frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, req, 5)[4:]
			h, body, err := ParseRequestHeader(frame)
			want := RequestHeader{Key: a.Key, Version: v, CorrelationID: 5, ClientID: "me", HasClientID: true}
			if err != nil || h != want || !bytes.Equal(body, req.AppendTo(nil)) {
				t.Errorf("%s version %d: %+v, %v", a.Name, v, h, err)
			}
			flexible := req.ResponseKind().IsFlexible() && a.Key != ApiVersions
			resp := AppendResponseHeader(nil, h)
			if r := (kbin.Reader{Src: resp}); r.Int32() != 5 || (len(r.Src) == 1) != flexible {
				t.Errorf("%s version %d: response header %x", a.Name, v, resp)
			}
		})
	}
}

func TestHeaderParserKeepsClientID(t *testing.T) {
	frame := []byte("\x00\x0c\x00\x00\x00\x00\x00\x01\x00\x09some-name")
	var p HeaderParser
	if n := testing.AllocsPerRun(100, func() { p.Parse(frame) }); n != 0 {
		t.Errorf("%v allocations per header of a known client", n)
	}
}

func TestUnsupportedApiVersions(t *testing.T) {
	resp := kmsg.NewApiVersionsResponse()
	if err := resp.ReadFrom(AppendUnsupportedApiVersions(nil)); err != nil {
		t.Fatal(err)
	}
	if resp.ErrorCode != 35 || len(resp.ApiKeys) != 1 || resp.ApiKeys[0].ApiKey != ApiVersions || resp.ApiKeys[0].MaxVersion != 5 {
		t.Errorf("got %+v", resp)
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte("\x00\x12\x00\x03\x00\x00\x00\x01\x00\x01c\x00"))
	f.Add([]byte("\x00\x0c\x00\x04\x00\x00\x00\x01\xff\xfe\x02\x05\x01x\x05\x00"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, body, err := ParseRequestHeader(frame)
		if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupportedVersion) {
			t.Fatalf("error %v has no class", err)
		}
		if err == nil && !bytes.HasSuffix(frame, body) {
			t.Fatalf("body %x is not the end of the frame", body)
		}
		if a, ok := Lookup(h.Key); err == nil && (!ok || !a.Supports(h.Version)) {
			t.Fatalf("header %+v passed", h)
		}
	})
}
