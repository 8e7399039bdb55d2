package main

import (
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/usher-im/usher/internal/e2e/proc"
)

// insist is insist PIPE ARGS...: runs usher, which reads the pipe PIPE, where nothing comes, and interrupts it until it
// ends.
func insist(ts *testscript.TestScript, _ bool, args []string) {
	pipe := ts.MkAbs(args[0])
	ts.Check(syscall.Mkfifo(pipe, 0o600))
	cmd := exec.Command(usherBinary(ts), args[1:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), []string{"PATH=" + ts.Getenv("PATH")}
	p, err := proc.Start("usher", cmd)
	ts.Check(err)
	defer p.Kill()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	read := false
	for {
		select {
		case <-p.Done():
			if !read {
				ts.Fatalf("it ended by itself: %s", p.Log)
			}
			return
		case <-deadline:
			ts.Fatalf("it does not end at a signal")
		case <-tick.C:
		}
		if !read {
			writer, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0)
			if err != nil { // nobody reads it yet
				continue
			}
			defer writer.Close()
			read = true
		}
		_ = p.Signal(syscall.SIGINT)
	}
}
