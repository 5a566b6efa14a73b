package commitlog

import (
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// progressEvery is the time between two reports on a directory being opened.
	progressEvery = 5 * time.Second
	// muchToRecover is how many bytes of one log are worth a report of their own.
	muchToRecover = 256 << 20
)

// progress reports on the logs of a directory that are being opened. Its methods
// may be called concurrently.
type progress struct {
	logger *slog.Logger
	dir    string
	total  int
	clean  bool // the directory was closed in order
	begun  time.Time
	done   atomic.Int64
	told   atomic.Int64 // ms since begun, when the last report was made
}

func newProgress(logger *slog.Logger, dir string, total int, clean bool) *progress {
	p := &progress{logger: logger, dir: dir, total: total, clean: clean, begun: time.Now()}
	if !clean && total > 0 {
		logger.Info("recovering logs", "dir", dir, "logs", total)
	}
	return p
}

// one counts a log that is ready and gives how many are.
func (p *progress) one() int {
	done := p.done.Add(1)
	now, told := time.Since(p.begun).Milliseconds(), p.told.Load()
	if now-told >= progressEvery.Milliseconds() && p.told.CompareAndSwap(told, now) {
		p.logger.Info("opening logs", "dir", p.dir, "done", done, "logs", p.total)
	}
	return int(done)
}

// end tells that all are ready.
func (p *progress) end() {
	if p.total > 0 {
		p.logger.Info("logs are open", "dir", p.dir, "logs", p.total, "recovered", !p.clean, "took", time.Since(p.begun).String())
	}
}

// tellRecovery reports that many bytes of a log are about to be read.
func (l *Log) tellRecovery(list []*segment) {
	bytes := int64(0)
	for _, s := range list {
		bytes += s.size.Load()
	}
	if bytes >= muchToRecover {
		l.logger.Info("recovering a log", "partition", l.tp, "from", list[0].base, "segments", len(list), "bytes", bytes)
	}
}
