// Package proc starts server processes for end-to-end tests and for the demo, keeps what they print, lets a test
// wait for a line of it, and ends each by its own pid.
package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Process is one running program. Whoever starts it ends it with Stop.
type Process struct {
	Name string
	// Log holds everything the process has written to stdout and stderr.
	Log  *Log
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start runs cmd in the background under a name used in messages. The process dies with its parent, so that a
// test run that is killed leaves nothing behind.
func Start(name string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{Name: name, Log: &Log{}, cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.Log, p.Log
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		p.Log.close()
		close(p.done)
	}()
	return p, nil
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// WaitLine returns the first line, printed already or still to come, that contains text. It fails when the
// process ends first, and then says what it printed last.
func (p *Process) WaitLine(ctx context.Context, text string) (string, error) {
	line, err := p.Log.Wait(ctx, text)
	if err != nil {
		return "", fmt.Errorf("%s never printed %q: %w; its last lines:\n%s", p.Name, text, err, p.Log.Tail(15))
	}
	return line, nil
}

// Signal sends sig.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal %s: %w", p.Name, err)
	}
	return nil
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode is the process's exit code; it waits for the end.
func (p *Process) ExitCode() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// ErrKilled says that a process had to be killed, since it did not end when it was asked to.
var ErrKilled = errors.New("killed")

// Stop asks the process to end (SIGTERM), kills it after grace (ErrKilled), and waits. It may be called again.
func (p *Process) Stop(grace time.Duration) error {
	// A frozen process takes no SIGTERM; waking one that runs does nothing.
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(grace):
		// A Go program answers SIGQUIT with the stacks of its goroutines: what it hangs on is then in its log.
		_ = p.cmd.Process.Signal(syscall.SIGQUIT)
		select {
		case <-p.done:
		case <-time.After(time.Second):
			_ = p.cmd.Process.Kill()
			<-p.done
		}
		return fmt.Errorf("%s did not end within %s of SIGTERM: %w", p.Name, grace, ErrKilled)
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		return fmt.Errorf("wait for %s: %w", p.Name, p.err)
	}
	return nil
}

// Kill ends the process at once, as a crash would.
func (p *Process) Kill() {
	_ = p.cmd.Process.Signal(os.Kill)
	<-p.done
}

// Memory is what a process has in memory and the most that it has had, in bytes, as the system counts them (VmRSS and
// VmHWM of proc_pid_status(5)).
func Memory(pid int) (resident, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("look at a process: %w", err)
	}
	for name, into := range map[string]*int64{"VmRSS:": &resident, "VmHWM:": &peak} {
		_, rest, _ := strings.Cut(string(text), name)
		if _, err := fmt.Sscan(rest, into); err != nil {
			return 0, 0, fmt.Errorf("read a process's memory: %w", err)
		}
		*into <<= 10 // from KiB
	}
	return resident, peak, nil
}

// RaiseFileLimit gives this process, and all that it starts, as many files as the system lets them have: a thousand
// clients at once need more than the usual 1024. Go raises its own limit by itself but hands the old one to its children,
// unless it is set explicitly.
func RaiseFileLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	return nil
}
