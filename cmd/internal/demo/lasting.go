package demo

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// lasting is a part that can be stopped and begun again while the demo runs.
type lasting struct {
	work  func(context.Context) error
	stops chan interruption
}

// interruption is one stop: between is called while the work stands still.
type interruption struct {
	between func()
	over    chan struct{}
}

func newLasting(work func(context.Context) error) *lasting {
	return &lasting{work: work, stops: make(chan interruption)}
}

// run works until ctx ends or the work ends by itself.
func (l *lasting) run(ctx context.Context) error {
	for {
		if again, err := l.once(ctx); !again {
			return err
		}
	}
}

func (l *lasting) once(ctx context.Context) (again bool, err error) {
	attempt, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- l.work(attempt) }()
	select {
	case err := <-done:
		return false, err
	case <-ctx.Done():
		return false, <-done
	case stop := <-l.stops:
		defer close(stop.over)
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			return false, err
		}
		stop.between()
		return ctx.Err() == nil, ctx.Err()
	}
}

// interrupt stops the work, calls between, and lets the work begin again.
func (l *lasting) interrupt(ctx context.Context, between func()) error {
	stop := interruption{between, make(chan struct{})}
	select {
	case l.stops <- stop:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-stop.over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rented is a registry whose collectors leave with the part that brought
// them, so that the part can come back. It is used by one part at a time.
type rented struct {
	prometheus.Registerer
	list []prometheus.Collector
}

func (r *rented) Register(c prometheus.Collector) error {
	err := r.Registerer.Register(c)
	if err == nil {
		r.list = append(r.list, c)
	}
	return err
}

func (r *rented) MustRegister(list ...prometheus.Collector) {
	for _, c := range list {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

func (r *rented) leave() {
	for _, c := range r.list {
		r.Unregister(c)
	}
	r.list = nil
}
