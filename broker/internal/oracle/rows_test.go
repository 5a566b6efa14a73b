package oracle

import (
	"reflect"
	"slices"
	"time"

	"github.com/leatstream/leat/broker/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// allRows lists the rows of every API that has any, and those of a.
func allRows(a wire.API) []row {
	return slices.Concat(everyAPI(a),
		versionRows(), metadataRows(), clusterRows(),
		produceRows(), batchRows(), fetchRows(), oldProduceRows(), oldFetchRows(), sessionRows(), offsetRows(),
		findRows(), joinRows(), memberRows(), commitRows(), groupRows(),
		topicRows(), configRows())
}

// everyAPI is what can be asked of any API: requests with defaults, and frames
// that are somehow wrong.
func everyAPI(a wire.API) []row {
	fresh := func() kmsg.Request {
		req := kmsg.RequestForKey(a.Key)
		req.(interface{ Default() }).Default()
		if produce, ok := req.(*kmsg.ProduceRequest); ok {
			produce.Acks = 1 // with 0, no answer would come
		}
		return req
	}
	frame := func(c *call) []byte { return encode(c.versioned(fresh()), c.correlation+1) }
	rows := []row{
		{name: "defaults", talk: func(c *call) { c.ask(fresh()) }},
		{name: "trailing bytes", talk: func(c *call) { c.askFrame(append(frame(c), 1, 2, 3), c.versioned(fresh())) }},
		{name: "no client id", talk: func(c *call) {
			f := frame(c)
			c.askFrame(slices.Concat(f[:8], []byte{0xff, 0xff}, f[10+len("oracle"):]), c.versioned(fresh()))
		}},
		{name: "client id of -2", talk: func(c *call) {
			f := frame(c)
			c.askFrame(slices.Concat(f[:8], []byte{0xff, 0xfe}, f[10+len("oracle"):]), c.versioned(fresh()))
		}},
		{name: "client id cut", talk: func(c *call) { c.askFrame(frame(c)[:12], c.versioned(fresh())) }},
		{name: "no body", talk: func(c *call) { c.askFrame(header(c, a), c.versioned(fresh())) }},
		{name: "last byte missing", talk: func(c *call) {
			f := frame(c)
			c.askFrame(f[:len(f)-1], c.versioned(fresh()))
		}},
		{name: "body of ones", talk: func(c *call) {
			c.askFrame(append(header(c, a), slices.Repeat([]byte{0xff}, 64)...), c.versioned(fresh()))
		}},
		{name: "huge counts", talk: func(c *call) {
			c.askFrame(append(header(c, a), slices.Repeat([]byte{0x7f}, 64)...), c.versioned(fresh()))
		}},
		{name: "unknown tag in header", from: a.Flexible, talk: func(c *call) {
			f := frame(c)
			h := len(header(c, a))
			c.askFrame(slices.Concat(f[:h-1], []byte{1, 99, 2, 7, 7}, f[h:]), c.versioned(fresh()))
		}},
		{name: "unknown tag in body", from: a.Flexible, talk: func(c *call) {
			req := fresh()
			tags := reflect.ValueOf(req).Elem().FieldByName("UnknownTags").Addr().Interface().(*kmsg.Tags)
			tags.Set(99, []byte{1, 2})
			c.ask(req)
		}},
		{name: "version 99", below: 1, talk: func(c *call) { c.askFrame(versionOf(frame(c), 99), c.versioned(fresh())) }},
		{name: "version -1", below: 1, talk: func(c *call) { c.askFrame(versionOf(frame(c), -1), c.versioned(fresh())) }},
	}
	for i := range rows {
		rows[i].key = a.Key
		if a.Key == wire.OffsetFetch { // without groups, Kafka never answers
			rows[i] = rows[i].brief()
		}
	}
	return rows
}

// header is a request without its body.
func header(c *call, a wire.API) []byte {
	h := []byte{0, byte(a.Key), 0, byte(c.version), 0, 0, 0, byte(c.correlation + 1), 0, byte(len("oracle"))}
	h = append(h, "oracle"...)
	if a.IsFlexible(c.version) {
		h = append(h, 0)
	}
	return h
}

// versionOf changes the version in a frame.
func versionOf(frame []byte, version int16) []byte {
	frame[2], frame[3] = byte(uint16(version)>>8), byte(version)
	return frame
}

// once is a row with a single request.
func once(key int16, name string, build func(c *call) kmsg.Request) row {
	return row{name: name, key: key, talk: func(c *call) { c.ask(build(c)) }}
}

// brief says that an answer comes soon or not at all.
func (r row) brief() row {
	talk := r.talk
	r.talk = func(c *call) {
		c.patience = time.Second
		talk(c)
	}
	return r
}

// since narrows a row to versions from v on.
func (r row) since(v int16) row {
	r.from = v
	return r
}

// until narrows a row to versions before v.
func (r row) until(v int16) row {
	r.below = v
	return r
}
