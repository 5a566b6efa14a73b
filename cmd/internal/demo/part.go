package demo

import (
	"context"
	"errors"
	"fmt"
)

// part is one running piece. The end of its work is known once.
type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // after done
}

// parts are the running pieces in order of start.
type parts struct {
	ctx   context.Context
	list  []*part
	ended chan *part // the first that ends unasked; buffered
}

// start runs work as a part of its own.
func (ps *parts) start(name string, work func(context.Context) error) *part {
	ctx, cancel := context.WithCancel(ps.ctx)
	p := &part{name: name, cancel: cancel, done: make(chan struct{})}
	ps.list = append(ps.list, p)
	go func() {
		defer close(p.done)
		p.err = work(ctx)
		if ctx.Err() == nil {
			select {
			case ps.ended <- p:
			default:
			}
		}
	}()
	return p
}

// stop ends one part and waits for it.
func (p *part) stop() error {
	p.cancel()
	<-p.done
	if p.err == nil || errors.Is(p.err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("%s: %w", p.name, p.err)
}

// stop ends all parts, the last started first.
func (ps *parts) stop() error {
	var errs []error
	for i := len(ps.list) - 1; i >= 0; i-- {
		errs = append(errs, ps.list[i].stop())
	}
	return errors.Join(errs...)
}
