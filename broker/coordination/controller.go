package coordination

import (
	"fmt"
	"strconv"
)

// ControllerNode is the payload of /controller.
type ControllerNode struct {
	BrokerID    int32
	TimestampMs int64
	KRaftEpoch  int32 // -1 in ZooKeeper mode
}

// Encode writes version 2.
func (c *ControllerNode) Encode() []byte {
	return newObject().num("version", 2).num("brokerid", int64(c.BrokerID)).
		str("timestamp", strconv.FormatInt(c.TimestampMs, 10)).
		num("kraftControllerEpoch", int64(c.KRaftEpoch)).end()
}

// DecodeControllerNode reads versions 1 and 2.
func DecodeControllerNode(b []byte) (ControllerNode, error) {
	var j struct {
		BrokerID  *int32      `json:"brokerid"`
		Timestamp flexibleInt `json:"timestamp"`
		Epoch     *int32      `json:"kraftControllerEpoch"`
	}
	if err := decode("controller", b, &j); err != nil {
		return ControllerNode{}, err
	}
	if j.BrokerID == nil {
		return ControllerNode{}, fmt.Errorf("%w: controller without broker id", ErrBadPayload)
	}
	c := ControllerNode{BrokerID: *j.BrokerID, TimestampMs: int64(j.Timestamp), KRaftEpoch: -1}
	if j.Epoch != nil {
		c.KRaftEpoch = *j.Epoch
	}
	return c, nil
}

// EncodeControllerEpoch writes the payload of /controller_epoch.
func EncodeControllerEpoch(epoch int32) []byte { return strconv.AppendInt(nil, int64(epoch), 10) }

// DecodeControllerEpoch reads the payload of /controller_epoch.
func DecodeControllerEpoch(b []byte) (int32, error) {
	n, err := decodeNumber("controller epoch", b, 32)
	return int32(n), err
}

// EncodeOffset writes the payload of a consumer offset node.
func EncodeOffset(offset int64) []byte { return strconv.AppendInt(nil, offset, 10) }

// DecodeOffset reads the payload of a consumer offset node.
func DecodeOffset(b []byte) (int64, error) { return decodeNumber("offset", b, 64) }

func decodeNumber(kind string, b []byte, bits int) (int64, error) {
	if len(b) > 20 {
		return 0, fmt.Errorf("%w: %s of %d bytes", ErrBadPayload, kind, len(b))
	}
	n, err := strconv.ParseInt(string(b), 10, bits)
	if err != nil {
		return 0, fmt.Errorf("%w: %s %q", ErrBadPayload, kind, b)
	}
	return n, nil
}

// EncodeClusterID writes the payload of /cluster/id.
func EncodeClusterID(id string) []byte { return newObject().str("version", "1").str("id", id).end() }

// DecodeClusterID reads the payload of /cluster/id.
func DecodeClusterID(b []byte) (string, error) {
	var j struct {
		ID string `json:"id"`
	}
	if err := decode("cluster id", b, &j); err != nil {
		return "", err
	}
	if j.ID == "" {
		return "", fmt.Errorf("%w: empty cluster id", ErrBadPayload)
	}
	return j.ID, nil
}

// ProducerIDBlock is the payload of /latest_producer_id_block: the block of
// producer ids that was handed out last.
type ProducerIDBlock struct {
	BrokerID int32
	First    int64
	Last     int64 // inclusive
}

// Encode writes version 1.
func (p *ProducerIDBlock) Encode() []byte {
	return newObject().num("version", 1).num("broker", int64(p.BrokerID)).
		str("block_start", strconv.FormatInt(p.First, 10)).
		str("block_end", strconv.FormatInt(p.Last, 10)).end()
}

// DecodeProducerIDBlock reads a block.
func DecodeProducerIDBlock(b []byte) (ProducerIDBlock, error) {
	var j struct {
		Broker *int32       `json:"broker"`
		First  *flexibleInt `json:"block_start"`
		Last   *flexibleInt `json:"block_end"`
	}
	if err := decode("producer id block", b, &j); err != nil {
		return ProducerIDBlock{}, err
	}
	if j.Broker == nil || j.First == nil || j.Last == nil || *j.First < 0 || *j.Last < *j.First {
		return ProducerIDBlock{}, fmt.Errorf("%w: producer id block", ErrBadPayload)
	}
	return ProducerIDBlock{*j.Broker, int64(*j.First), int64(*j.Last)}, nil
}
