package server

import (
	"time"

	"github.com/leatstream/leat/broker/wire"
)

// chain is a list of requests.
type chain struct{ head, tail *Request }

func (l *chain) push(r *Request) {
	r.next = nil
	if l.tail == nil {
		l.head = r
	} else {
		l.tail.next = r
	}
	l.tail = r
}

func (l *chain) pop() *Request {
	r := l.head
	if r == nil {
		return nil
	}
	l.head = r.next
	if l.head == nil {
		l.tail = nil
	}
	r.next = nil
	return r
}

// release gives back what the answers of l hold.
func (l chain) release() {
	for r := l.head; r != nil; r = r.next {
		r.resp.release()
	}
}

func (r *Response) release() {
	if f := r.Release; f != nil {
		r.Release = nil
		f()
	}
}

// queue holds the requests of a connection that are not written yet, oldest
// first, and the request values that can be used again. It is guarded by the
// connection's mutex.
type queue struct {
	chain
	n    int // requests that are not written yet, also those taken
	free chain
}

// alloc returns a request that is not in use.
func (q *queue) alloc() *Request {
	if r := q.free.pop(); r != nil {
		return r
	}
	return new(Request)
}

// answered takes the answered requests at the head, up to one that closes the
// connection.
func (q *queue) answered() (l chain) {
	for q.head != nil && q.head.state != requestPending {
		r := q.pop()
		l.push(r)
		if r.state == requestClose {
			break
		}
	}
	return l
}

// recycle takes back requests that were written.
func (q *queue) recycle(l chain) {
	for r := l.pop(); r != nil; r = l.pop() {
		*r = Request{}
		q.free.push(r)
		q.n--
	}
}

// clear empties the queue and returns the requests that hold an answer. Those
// that are pending are left to their handlers.
func (q *queue) clear() (l chain) {
	for r := q.pop(); r != nil; r = q.pop() {
		if r.state != requestPending {
			l.push(r)
		}
	}
	q.n = 0
	return l
}

// enqueue makes a request and gives it its place in the order of answers.
func (c *Conn) enqueue(h wire.RequestHeader, start time.Duration) *Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.queue.alloc()
	r.Header, r.Conn = h, c
	r.state, r.start = requestPending, start
	r.api = c.server.metrics.api(h.Key)
	c.queue.push(r)
	c.queue.n++
	return r
}

// complete records the answer of r and, if it is due and nobody else is going
// to, writes it.
func (c *Conn) complete(r *Request, s requestState, resp Response, err error) {
	c.mu.Lock()
	if r.state != requestPending {
		c.mu.Unlock()
		panic("server: request answered twice")
	}
	r.state, r.resp, r.err = s, resp, err
	if c.dead {
		c.mu.Unlock()
		resp.release()
		return
	}
	if s == requestClose {
		c.ending = true
	}
	if c.serving {
		c.mu.Unlock()
		return
	}
	r.reply = c.server.clock()
	due := r == c.queue.head
	c.mu.Unlock()
	if due {
		c.flush(false)
	}
}
