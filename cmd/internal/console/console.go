package console

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Limits of work done at the same time for browsers.
const (
	maxReaders = 8  // bounded reads of records
	maxStreams = 64 // event streams and live tails
)

// metadataAge is how old the list of topics may be.
const metadataAge = 250 * time.Millisecond

// Console serves the pages and the API.
type Console struct {
	cfg     Config
	log     *slog.Logger
	client  *kgo.Client
	adm     *kadm.Client
	handler http.Handler
	pages   map[string]*template.Template
	assets  *assets

	sampler *sampler
	samples samples
	readers chan struct{} // a slot for each bounded read
	streams chan struct{} // a slot for each stream
}

// ErrBusy is the answer when too many readers are at work.
var ErrBusy = errors.New("too many readers at the same time")

// New builds a console; Run makes it live. Before the first sample, pages say
// that the cluster has not answered yet.
func New(cfg Config) (*Console, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	// Samples ask for the topics anew: a list from the client's cache may be
	// seconds old.
	opts := append([]kgo.Opt{kgo.ClientID("leat-console"), kgo.MetadataMinAge(metadataAge)}, cfg.Client...)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	c := &Console{
		cfg: cfg, log: cfg.Log, client: client, adm: kadm.NewClient(client),
		readers: make(chan struct{}, maxReaders), streams: make(chan struct{}, maxStreams),
	}
	if c.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if c.pages, err = parsePages(c.assets); err != nil {
		return nil, err
	}
	c.sampler = newSampler(cfg, c.adm)
	c.handler = c.guard(c.routes())
	return c, nil
}

// Run keeps the samples going until ctx ends, then closes the client.
func (c *Console) Run(ctx context.Context) error {
	defer c.client.Close()
	c.sampler.run(ctx)
	return nil
}

// ServeHTTP answers one request.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

func (c *Console) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", c.assets)
	c.pageRoutes(mux)
	c.apiRoutes(mux)
	return mux
}

// take takes a slot, or reports false when all are in use.
func take(slots chan struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	default:
		return false
	}
}
