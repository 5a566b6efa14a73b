package wire

import (
	"encoding/binary"
	"fmt"
)

// RequestHeader is what stands before the body of every request.
type RequestHeader struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      string
	HasClientID   bool // false: the client sent null
}

// HeaderParser parses the headers of one connection. It remembers the last
// client id, so that a connection that keeps its id costs no allocation. The
// zero value is ready; a parser is not safe for concurrent use.
type HeaderParser struct{ clientID string }

// Parse splits a frame (without its size) into header and body. The body is a
// view into frame.
//
// When key or version is not served it returns ErrUnsupportedVersion and the
// header as far as it is known. For ApiVersions that error comes only after
// the whole header was read, tags included: such a request deserves an answer
// (see [AppendUnsupportedApiVersions]); any other must close the connection.
func (p *HeaderParser) Parse(frame []byte) (RequestHeader, []byte, error) {
	var h RequestHeader
	if len(frame) < 8 {
		return h, nil, fmt.Errorf("%w: request of %d bytes has no header", ErrMalformed, len(frame))
	}
	h.Key = int16(binary.BigEndian.Uint16(frame))
	h.Version = int16(binary.BigEndian.Uint16(frame[2:]))
	h.CorrelationID = int32(binary.BigEndian.Uint32(frame[4:]))
	a, ok := Lookup(h.Key)
	if !ok {
		return h, nil, fmt.Errorf("%w: key %d", ErrUnsupportedVersion, h.Key)
	}
	supported := a.Supports(h.Version)
	if !supported && h.Key != ApiVersions {
		return h, nil, fmt.Errorf("%w: %s version %d", ErrUnsupportedVersion, a.Name, h.Version)
	}
	r := reader{b: frame[8:]}
	p.readClientID(&r, &h)
	if a.IsFlexible(h.Version) {
		r.skipTags()
	}
	if r.bad {
		return h, nil, fmt.Errorf("%w: header of %s version %d", ErrMalformed, a.Name, h.Version)
	}
	if !supported {
		return h, r.b, fmt.Errorf("%w: %s version %d", ErrUnsupportedVersion, a.Name, h.Version)
	}
	return h, r.b, nil
}

// readClientID reads the client id, whose length is never compact. Kafka takes
// any negative length for null.
func (p *HeaderParser) readClientID(r *reader, h *RequestHeader) {
	n := int(r.int16())
	if n < 0 {
		return
	}
	id := r.take(n)
	if string(id) != p.clientID {
		p.clientID = string(id)
	}
	h.ClientID, h.HasClientID = p.clientID, !r.bad
}

// ParseRequestHeader parses one header; see [HeaderParser.Parse].
func ParseRequestHeader(frame []byte) (h RequestHeader, body []byte, err error) {
	var p HeaderParser
	return p.Parse(frame)
}

// AppendResponseHeader appends the header that answers h: the correlation id,
// and for flexible versions an empty tag section. ApiVersions never has one,
// because its client cannot know yet what the broker understands.
func AppendResponseHeader(dst []byte, h RequestHeader) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.CorrelationID))
	if h.Key == ApiVersions {
		return dst
	}
	if a, ok := Lookup(h.Key); ok && a.IsFlexible(h.Version) {
		dst = append(dst, 0)
	}
	return dst
}

// unsupportedVersion is Kafka's error code UNSUPPORTED_VERSION.
const unsupportedVersion = 35

// AppendUnsupportedApiVersions appends the body that answers an ApiVersions
// request of an unknown version: version 0, error 35, and the range of
// ApiVersions alone, with which the client tries again.
func AppendUnsupportedApiVersions(dst []byte) []byte {
	a, _ := Lookup(ApiVersions)
	dst = binary.BigEndian.AppendUint16(dst, unsupportedVersion)
	dst = binary.BigEndian.AppendUint32(dst, 1)
	dst = binary.BigEndian.AppendUint16(dst, uint16(a.Key))
	dst = binary.BigEndian.AppendUint16(dst, uint16(a.Min))
	return binary.BigEndian.AppendUint16(dst, uint16(a.Max))
}
