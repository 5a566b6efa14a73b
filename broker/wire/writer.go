package wire

import "encoding/binary"

// appendCount appends the length of an array that is not null.
func appendCount(dst []byte, n int, flexible bool) []byte {
	if flexible {
		return binary.AppendUvarint(dst, uint64(n)+1)
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

func appendString(dst []byte, s string, flexible bool) []byte {
	if flexible {
		dst = binary.AppendUvarint(dst, uint64(len(s))+1)
	} else {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	}
	return append(dst, s...)
}

// appendNullableString appends s, or null when s is empty.
func appendNullableString(dst []byte, s string, flexible bool) []byte {
	switch {
	case s != "":
		return appendString(dst, s, flexible)
	case flexible:
		return append(dst, 0)
	}
	return append(dst, 0xff, 0xff)
}

// appendTag appends the tagged field of l: 8 bytes and an empty tag section.
func (l LeaderID) appendTag(dst []byte, tag byte) []byte {
	dst = append(dst, tag, 9)
	dst = binary.BigEndian.AppendUint32(dst, uint32(l.ID))
	dst = binary.BigEndian.AppendUint32(dst, uint32(l.Epoch))
	return append(dst, 0)
}

// appendEndpoints appends the tag section that ends a Produce or Fetch
// response: empty, or with the endpoints as field 0.
func appendEndpoints(dst []byte, nodes []Endpoint, allowed bool) []byte {
	if !allowed || len(nodes) == 0 {
		return append(dst, 0)
	}
	size := uvarintSize(uint64(len(nodes)) + 1)
	for i := range nodes {
		size += nodes[i].size()
	}
	dst = append(dst, 1, 0)
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = appendCount(dst, len(nodes), true)
	for i := range nodes {
		n := &nodes[i]
		dst = binary.BigEndian.AppendUint32(dst, uint32(n.ID))
		dst = appendString(dst, n.Host, true)
		dst = binary.BigEndian.AppendUint32(dst, uint32(n.Port))
		dst = appendNullableString(dst, n.Rack, true)
		dst = append(dst, 0)
	}
	return dst
}

// size is the encoded size of n.
func (n *Endpoint) size() int {
	size := 4 + uvarintSize(uint64(len(n.Host))+1) + len(n.Host) + 4 + 1
	if n.Rack == "" {
		return size + 1
	}
	return size + uvarintSize(uint64(len(n.Rack))+1) + len(n.Rack)
}

func uvarintSize(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}
