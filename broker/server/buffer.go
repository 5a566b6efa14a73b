package server

import (
	"errors"
	"math/bits"
	"sync"
)

// The sizes in which read buffers are pooled. A larger frame gets a buffer of
// its own, which is not kept.
const (
	minBuffer  = 64 << 10
	maxPooled  = 4 << 20
	classShift = 2 // each class is four times the one before
	classes    = 4
)

// maxKeptBytes bounds the pooled buffers that nobody uses.
const maxKeptBytes = 64 << 20

// errPoolClosed says that the waiting connection was closed.
var errPoolClosed = errors.New("connection closed while waiting for buffer memory")

// buffer is a lent piece of memory.
type buffer struct {
	b []byte
	// over marks the one buffer that exceeds the budget.
	over bool
}

// pool lends read buffers within a budget. Connections that would exceed it
// wait, save one at a time: so a frame larger than what is left, or than the
// whole budget, is still served, and connections that each hold a part of a
// frame cannot block each other for good.
type pool struct {
	limit int64

	mu   sync.Mutex
	cond sync.Cond // used fell, or a waiter is to give up
	used int64     // bytes lent
	over bool      // somebody holds more than the budget
	free [classes][][]byte
	kept int64 // bytes in free
}

func newPool(limit int64) *pool {
	p := &pool{limit: limit}
	p.cond.L = &p.mu
	return p
}

// class returns the index and the size of the smallest class that holds n
// bytes, or classes and n when there is none.
func class(n int) (index, size int) {
	if n > maxPooled {
		return classes, n
	}
	size = minBuffer
	for size < n {
		size <<= classShift
		index++
	}
	return index, size
}

// tryGet lends a buffer of at least n bytes, or returns false when the caller
// has to wait.
func (p *pool) tryGet(n int) (buffer, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.get(n)
}

func (p *pool) get(n int) (buffer, bool) {
	index, size := class(n)
	over := p.used+int64(size) > p.limit
	if over && p.over {
		return buffer{}, false
	}
	p.over = p.over || over
	p.used += int64(size)
	return buffer{b: p.take(index, size), over: over}, true
}

// take returns memory of the class, from the free list if there is some.
func (p *pool) take(index, size int) []byte {
	if index < classes {
		if f := p.free[index]; len(f) > 0 {
			b := f[len(f)-1]
			f[len(f)-1] = nil
			p.free[index] = f[:len(f)-1]
			p.kept -= int64(size)
			return b
		}
	}
	return make([]byte, size)
}

// swap takes old back and lends a buffer of at least n bytes instead, after it
// waited for the budget if it had to. The memory of old stays readable until
// the caller calls keep. gone reports whether to give up.
func (p *pool) swap(old buffer, n int, gone func() bool) (buffer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		p.account(old)
		if b, ok := p.get(n); ok {
			return b, nil
		}
		p.unaccount(old)
		if gone() {
			return old, errPoolClosed
		}
		p.cond.Wait()
	}
}

// account takes b out of the books.
func (p *pool) account(b buffer) {
	p.used -= int64(len(b.b))
	if b.over {
		p.over = false
	}
}

// unaccount puts b back in.
func (p *pool) unaccount(b buffer) {
	p.used += int64(len(b.b))
	if b.over {
		p.over = true
	}
}

// put takes b back.
func (p *pool) put(b buffer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.account(b)
	p.keep(b)
	p.cond.Broadcast()
}

// keep puts b's memory on the free list, if it is of a class and there is room.
func (p *pool) keep(b buffer) {
	size := len(b.b)
	if size == 0 || size > maxPooled || p.kept+int64(size) > maxKeptBytes {
		return
	}
	index := (bits.TrailingZeros(uint(size)) - bits.TrailingZeros(uint(minBuffer))) / classShift
	p.free[index] = append(p.free[index], b.b)
	p.kept += int64(size)
}

// recycle keeps the memory of a buffer that swap has taken back.
func (p *pool) recycle(b buffer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep(b)
	p.cond.Broadcast()
}

// wake lets the waiters look whether they are to give up.
func (p *pool) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cond.Broadcast()
}

// lent returns the number of bytes lent.
func (p *pool) lent() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}
