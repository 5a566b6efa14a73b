package server

import (
	"io"
	"time"

	"github.com/leatstream/leat/broker/wire"
)

// Handler serves requests.
type Handler interface {
	// Serve is called for each request with a served key and version, in the
	// order of arrival, on the goroutine of the connection: the next request of
	// this connection waits until Serve returns. It must not block for long; a
	// request that has to wait is parked and answered later.
	//
	// r.Body is valid until Serve returns. r itself is valid until it has been
	// answered, by exactly one call of Reply, NoReply or Close.
	//
	// A panic is logged and stops the process.
	Serve(r *Request)
}

// Request is one request of a connection.
type Request struct {
	Header wire.RequestHeader
	Body   []byte // valid until Serve returns
	Conn   *Conn
	// Received is when the last bytes of the request were read.
	Received time.Time

	state requestState
	resp  Response
	err   error // why to close, with requestClose
	api   *apiMetrics
	// start, served and reply are when the handler was called, when it
	// returned, and when the answer came if later, on the server's clock.
	start, served, reply time.Duration

	next *Request // in the connection's queue or free list
}

// requestState is what is known of a request's answer.
type requestState uint8

const (
	requestFree    requestState = iota // not in use
	requestPending                     // not answered yet
	requestReply
	requestSilent // no answer is wanted
	requestClose  // close the connection here
)

// Response is the body of an answer. The server writes size and header.
type Response struct {
	// Body goes first, then Parts. Either may be empty.
	Body  []byte
	Parts []Part
	// Release, if not nil, is called once when the response has been written or
	// dropped: from then on its bytes may be reused. It runs on any goroutine,
	// with no lock held, and must not block.
	Release func()
}

// Part is a piece of a response: bytes in memory, or a file.
type Part struct {
	Bytes []byte
	File  File
}

// File is a part that is not in memory.
type File interface {
	// Size is the exact number of bytes that WriteTo writes.
	Size() int
	// WriteTo writes all bytes to w, which has a method
	//
	//	SendFile(fd uintptr, offset, length int64) (int64, error)
	//
	// where the connection can send a file without copying it.
	WriteTo(w io.Writer) (int64, error)
}

// size is the number of bytes of the body.
func (r *Response) size() int {
	n := len(r.Body)
	for i := range r.Parts {
		n += r.Parts[i].size()
	}
	return n
}

func (p *Part) size() int {
	if p.File != nil {
		return p.File.Size()
	}
	return len(p.Bytes)
}

// Reply answers the request. It may be called from any goroutine, and by the
// handler within Serve; it does not block on the network unless it is called
// by the connection itself.
func (r *Request) Reply(resp Response) { r.Conn.complete(r, requestReply, resp, nil) }

// NoReply completes a request that is not to be answered (acks=0).
func (r *Request) NoReply() { r.Conn.complete(r, requestSilent, Response{}, nil) }

// Close closes the connection in place of an answer, after the answers of
// earlier requests were written. err says why and is logged.
func (r *Request) Close(err error) { r.Conn.complete(r, requestClose, Response{}, err) }
