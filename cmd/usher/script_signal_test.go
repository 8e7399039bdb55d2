package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/usher-im/usher/internal/e2e/proc"
)

// insist is insist PIPE ARGS...: runs usher, which reads the pipe PIPE, where nothing comes, and interrupts it until it
// ends.
func insist(ts *testscript.TestScript, _ bool, args []string) {
	p, pipe := reading(ts, args[0], args[1:])
	defer p.Kill()
	defer pipe.Close()
	for range 500 {
		_ = p.Signal(syscall.SIGINT)
		select {
		case <-p.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	ts.Fatalf("it does not end at a signal")
}

// unanswered is unanswered TEXT ARGS...: runs usher, which asks at $VERIFY, where nothing is answered, and interrupts it
// when it has asked. It says TEXT, and nothing of a node that does not answer.
func unanswered(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", ts.Getenv("VERIFY"))
	ts.Check(err)
	defer proc.Release(ln.(*net.TCPListener))
	ts.Check(ln.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second)))
	cmd := exec.Command(usherBinary(ts), args[1:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), []string{"PATH=" + ts.Getenv("PATH"), "USHER_LISTEN=" + ts.Getenv("VERIFY")}
	p, err := proc.Start("usher", cmd)
	ts.Check(err)
	defer p.Kill()
	asks, err := ln.Accept()
	ts.Check(err)
	defer asks.Close()
	ts.Check(p.Signal(syscall.SIGINT))
	if code := p.ExitCode(); code != exitFailed || !strings.Contains(p.Log.String(), args[0]) || regexp.MustCompile("not answer|nobody answers").MatchString(p.Log.String()) {
		ts.Fatalf("exit code %d:\n%s", code, p.Log)
	}
}

// hasty is hasty PIPE CONFIG: runs a node that reads its config from the pipe PIPE, tells it to reload before it has read
// CONFIG there, and waits until it is up.
func hasty(ts *testscript.TestScript, _ bool, args []string) {
	p, pipe := reading(ts, args[0], []string{"serve", "--config", args[0]})
	defer p.Kill()
	ts.Check(p.Signal(syscall.SIGHUP))
	_, err := pipe.WriteString(os.Expand(ts.ReadFile(args[1]), ts.Getenv))
	ts.Check(errors.Join(err, pipe.Close()))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err = p.WaitLine(ctx, "usher is up")
	ts.Check(err)
}

// reading runs usher and waits until it reads the new pipe called name.
func reading(ts *testscript.TestScript, name string, args []string) (*proc.Process, *os.File) {
	path := ts.MkAbs(name)
	ts.Check(syscall.Mkfifo(path, 0o600))
	cmd := exec.Command(usherBinary(ts), args...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), []string{"PATH=" + ts.Getenv("PATH")}
	p, err := proc.Start("usher", cmd)
	ts.Check(err)
	for range 500 {
		if pipe, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			return p, pipe
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.Kill()
	ts.Fatalf("usher does not read %s: %s", name, p.Log)
	return nil, nil
}
