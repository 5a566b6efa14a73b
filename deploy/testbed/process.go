package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience bounds every wait for a peer. It is generous because a peer that
// shares two cores with a test run starts slowly.
const Patience = 120 * time.Second

// Process is a running peer. Its cleanup kills it, with its children.
type Process struct {
	cmd      *exec.Cmd
	out, err output
	done     chan struct{}
}

// Start runs a command in a process group of its own until it ends, is
// stopped, or the test is over.
func Start(t testing.TB, env []string, name string, args ...string) *Process {
	t.Helper()
	p := &Process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the exit status is read from ProcessState
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s %s wrote on stderr:\n%s", name, strings.Join(args, " "), p.err.tail(4000))
		}
	})
	return p
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stdout is what the process has written to its standard output so far.
func (p *Process) Stdout() string { return p.out.String() }

// Stderr is what the process has written to its standard error so far.
func (p *Process) Stderr() string { return p.err.String() }

// Signal sends a signal to the process alone.
func (p *Process) Signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// Kill ends the process and its children without a chance to tidy up, and
// waits for its end.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// Stop asks the process to end (SIGTERM), waits and returns its exit code.
func (p *Process) Stop(t testing.TB) int {
	t.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait(t)
}

// Wait waits for the end of the process and returns its exit code.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(Patience):
		p.Signal(syscall.SIGQUIT)
		t.Fatalf("%s still runs after %s; stderr:\n%s", p.cmd.Path, Patience, p.err.tail(4000))
	}
	return p.cmd.ProcessState.ExitCode()
}

// Until polls cond until it is true, the process ends, or Patience is over.
func (p *Process) Until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ended := func() bool {
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	}
	Until(t, what, func() bool {
		if cond() {
			return true
		}
		if ended() {
			t.Fatalf("%s ended before %s; stderr:\n%s", p.cmd.Path, what, p.err.tail(4000))
		}
		return false
	})
}

// Until polls cond every few milliseconds until it is true, or fails t when
// Patience is over.
func Until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(Patience); !cond(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain: %s", Patience, what)
		}
	}
}

// Answers tells whether something accepts TCP connections at addr.
func Answers(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// FreePort is a TCP port on which nothing listens now.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Output runs a command to its end with the given standard input and returns
// what it wrote to its standard output; another exit code than 0 fails t.
func Output(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	out, errs, err := Run(stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, errs)
	}
	return out
}

// Run runs a command to its end, within Patience, and returns what it wrote.
func Run(stdin, name string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err = cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("no end after %s: %w", Patience, errors.Join(ctx.Err(), err))
	}
	return out.String(), errs.String(), err
}

// output collects what a process writes; it may be read meanwhile.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

var _ io.Writer = (*output)(nil)

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (o *output) tail(n int) string {
	s := o.String()
	return s[max(0, len(s)-n):]
}
