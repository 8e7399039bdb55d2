// Command usher is the token door-keeper for Prosody and Jitsi Meet: the verifier that Prosody's modules ask, and the
// tools of those who run it. This package wires the rooms together and holds no rule.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/usher-im/usher/internal/config"
)

// Exit codes; programs rely on them.
const (
	exitDone   = 0 // done, or allowed
	exitFailed = 1 // failed, or no verdict could be had
	exitUsage  = 2 // wrong usage or config
	exitDeny   = 3 // the verdict was a deny
)

// commands is the whole command line; help and completion come from it.
type commands struct {
	reach  reach
	Config string `help:"Config file. Else $$USHER_CONFIG, ./usher.yaml, /etc/usher/usher.yaml." placeholder:"FILE" type:"path"`

	Serve       serveCmd       `cmd:"" help:"Run the verifier. SIGHUP reloads, SIGTERM drains."`
	Init        initCmd        `cmd:"" help:"Write a first config, a secret for it, and the lines for Prosody."`
	Doctor      doctorCmd      `cmd:"" help:"Check a running installation from end to end."`
	Conf        configCmd      `cmd:"" name:"config" help:"Check, show or import a config."`
	Token       tokenCmd       `cmd:"" help:"Mint test tokens, or explain what becomes of a token."`
	Keys        keysCmd        `cmd:"" help:"The keys that tokens are verified with."`
	Audit       auditCmd       `cmd:"" help:"Who was let in, who was not, and why."`
	Backup      backupCmd      `cmd:"" help:"Take a consistent copy of the embedded stores, while the node runs."`
	Revoke      revokeCmd      `cmd:"" help:"Revoke tokens, users, keys, issuers or rooms; list, show and lift what is revoked."`
	Credential  credentialCmd  `cmd:"" help:"Who may use the listeners."`
	Healthcheck healthcheckCmd `cmd:"" help:"Ask the running verifier whether it is ready (for containers)."`
	Version     versionCmd     `cmd:"" help:"Version, commit, contract and schema."`
}

// streams are where commands read and write: data on out, words on err.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// input is a stream whose reading a signal ends: nobody knows when the rest of it comes.
type input struct {
	ctx  context.Context
	from io.Reader
}

func (i input) Read(p []byte) (int, error) {
	type part struct {
		bytes []byte
		err   error
	}
	read := make(chan part, 1)
	go func() {
		b := make([]byte, len(p)) // not p: what comes after the end is nobody's
		n, err := i.from.Read(b)
		read <- part{b[:n], err}
	}()
	select {
	case <-i.ctx.Done():
		return 0, errors.New("interrupted")
	case r := <-read:
		return copy(p, r.bytes), r.err
	}
}

// failure carries the exit code of an error. An error without one exits with 1.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// usage marks an error as the caller's mistake.
func usage(format string, a ...any) error {
	return &failure{code: exitUsage, err: fmt.Errorf(format, a...)}
}

// errDeny ends a command whose verdict was a deny and has been shown already.
var errDeny = &failure{code: exitDeny, err: errors.New("denied")}

func main() {
	// Whatever usher writes (stores, spill, backups, secrets) is for its own user, unless it says otherwise.
	syscall.Umask(0o077)
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	io := streams{in: input{ctx, os.Stdin}, out: os.Stdout, err: os.Stderr}

	var c commands
	command, err := parse(&c, io, args)
	if err != nil {
		fmt.Fprintln(io.err, "usher:", err)
		return exitUsage
	}
	if command == nil { // --help has been answered
		return exitDone
	}
	if _, serves := command.(*serveCmd); !serves {
		context.AfterFunc(ctx, stop) // who asks a second time may have what a command waits for that knows of no signal
	}
	return report(&c, io, command.Run(ctx, &c, io))
}

// report says an error once, in one line each, and gives its exit code.
func report(c *commands, io streams, err error) int {
	var f *failure
	var faults config.Faults
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errDeny):
		return exitDeny
	case errors.As(err, &faults):
		for _, fault := range faults {
			fmt.Fprintln(io.err, c.reach.hint(fault.Error()))
		}
		return exitUsage
	}
	fmt.Fprintln(io.err, "usher:", c.reach.hint(err.Error()))
	if errors.As(err, &f) {
		return f.code
	}
	return exitFailed
}

// load reads the config and says what is accepted in it but should not stay.
func (c *commands) load(io streams) (*config.Config, error) {
	cfg, warnings, err := config.Load(config.Options{Path: c.Config, Env: os.Environ()})
	for _, w := range warnings {
		fmt.Fprintln(io.err, "warning:", c.reach.hint(w.String()))
	}
	return cfg, err
}
