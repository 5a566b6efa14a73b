package replica

import "sync/atomic"

// line decides who appends to a partition: the first to come leads, those who
// come while somebody leads wait in order, and the leader appends for them too.
// It knows neither log nor lock; who waits is woken by the leader.
//
// Whoever enters with true leads until leave. Until then take, and the fields
// first and last, are the leader's own. A free line costs one compare-and-swap
// to enter and one to leave.
type line struct {
	// latest is nil while nobody leads, &led while nobody has come since the
	// leader looked, else the latest that came, linked to those before.
	latest atomic.Pointer[place]
	led    place
	// first to last are those that the leader has seen, in order.
	first, last *place
}

// place is one append's place in the line.
type place struct {
	next *place // the one before while in latest, else the one behind
	call *appendCall
}

// enter takes a place; true: the caller leads.
func (l *line) enter(p *place) bool {
	for {
		before := l.latest.Load()
		if before == nil {
			if l.latest.CompareAndSwap(nil, &l.led) {
				return true
			}
			continue
		}
		p.next = before
		if l.latest.CompareAndSwap(before, p) {
			return false
		}
	}
}

// see moves those who came to the end of the leader's list.
func (l *line) see() {
	if l.latest.Load() == &l.led {
		return
	}
	var first *place
	latest := l.latest.Swap(&l.led)
	for p := latest; p != &l.led; {
		before := p.next
		p.next, first = first, p
		p = before
	}
	if l.first == nil {
		l.first = first
	} else {
		l.last.next = first
	}
	l.last = latest
}

// take removes the head of the line, nil when nobody waits.
func (l *line) take() *appendCall {
	p := l.first
	if p == nil {
		if l.see(); l.first == nil {
			return nil
		}
		p = l.first
	}
	l.first, p.next = p.next, nil
	return p.call
}

// leave ends the leader's turn. When somebody waits, the head of the line leads
// from now on and must be told.
func (l *line) leave() *appendCall {
	for {
		if next := l.take(); next != nil {
			return next
		}
		if l.latest.CompareAndSwap(&l.led, nil) {
			return nil
		}
	}
}
