package ops

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// checkTimeout bounds all readiness checks of one request together.
const checkTimeout = 5 * time.Second

// Check tells whether one part of the process can do its work. A nil error
// means ready. It may be called concurrently and must respect ctx.
type Check func(ctx context.Context) error

// Health holds the readiness checks of a process. The zero value is ready to
// use and safe for concurrent use.
type Health struct {
	mu     sync.Mutex
	checks map[string]Check
}

// Register adds or replaces the check called name.
func (h *Health) Register(name string, check Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checks == nil {
		h.checks = map[string]Check{}
	}
	h.checks[name] = check
}

// Result is the outcome of one check.
type Result struct {
	Name string
	Err  error // nil when ready
}

// Run calls every check and returns the outcomes sorted by name.
func (h *Health) Run(ctx context.Context) []Result {
	h.mu.Lock()
	checks := make(map[string]Check, len(h.checks))
	for name, check := range h.checks {
		checks[name] = check
	}
	h.mu.Unlock()

	results := make([]Result, 0, len(checks))
	for name, check := range checks {
		results = append(results, Result{Name: name, Err: check(ctx)})
	}
	slices.SortFunc(results, func(a, b Result) int { return strings.Compare(a.Name, b.Name) })
	return results
}

// Closed returns a Check that is ready once ch is closed, as the Ready channels
// of long-running parts are.
func Closed(ch <-chan struct{}) Check {
	return func(context.Context) error {
		select {
		case <-ch:
			return nil
		default:
			return errNotReady
		}
	}
}

// serveReady answers 200 when all checks pass and 503 otherwise; with ?verbose
// it lists each check.
func (h *Health) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
	defer cancel()
	results := h.Run(ctx)
	status, verdict := http.StatusOK, "ready"
	if slices.ContainsFunc(results, func(res Result) bool { return res.Err != nil }) {
		status, verdict = http.StatusServiceUnavailable, "not ready"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	if r.URL.Query().Has("verbose") {
		for _, res := range results {
			if res.Err != nil {
				fmt.Fprintf(w, "[-] %s: %v\n", res.Name, res.Err)
			} else {
				fmt.Fprintf(w, "[+] %s: ok\n", res.Name)
			}
		}
	}
	fmt.Fprintln(w, verdict)
}
