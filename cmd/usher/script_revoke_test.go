package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/usher-im/usher/internal/e2e/proc"
)

// The scripts of testdata/revoke, with what they need besides those of TestScripts.
func TestRevokeScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/revoke",
		Setup: func(env *testscript.Env) error {
			ports, err := proc.FreePorts(2)
			if err != nil {
				return err
			}
			env.Setenv("VERIFY", fmt.Sprintf("127.0.0.1:%d", ports[0]))
			env.Setenv("ADMIN", fmt.Sprintf("127.0.0.1:%d", ports[1]))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"expand": expand, "serving": serving, "redis": startRedis, "idof": idOf, "exits": exits, "audited": audited, "values": many,
		},
	})
}

// idOf is idof FILE NAME: the first id in FILE becomes $NAME.
func idOf(ts *testscript.TestScript, _ bool, args []string) {
	id := regexp.MustCompile(`[0-9a-f]{32}`).FindString(ts.ReadFile(args[0]))
	if id == "" {
		ts.Fatalf("there is no id in %s", args[0])
	}
	ts.Setenv(args[1], id)
}

// exits is exits CODE COMMAND...: the command ends with this exit code. Its words are checked by stderr.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	exit, ok := err.(*exec.ExitError)
	if !ok || fmt.Sprint(exit.ExitCode()) != args[0] {
		ts.Fatalf("%s ended with %v, not with %s", strings.Join(args[1:], " "), err, args[0])
	}
}

// audited is audited PATTERN COMMAND...: what the command writes comes to match the pattern.
func audited(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	bin, _, _ := strings.Cut(ts.Getenv("PATH"), string(os.PathListSeparator))
	var out []byte
	for range 500 {
		cmd := exec.Command(filepath.Join(bin, args[1]), args[2:]...)
		cmd.Dir = ts.MkAbs(".")
		out, _ = cmd.Output()
		if pattern.Match(out) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%s never matched; the last was:\n%s", args[0], out)
}

// many is values FILE N: writes N values, one a line.
func many(ts *testscript.TestScript, _ bool, args []string) {
	var n int
	if _, err := fmt.Sscan(args[1], &n); err != nil {
		ts.Fatalf("%v", err)
	}
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "user-%d\n", i)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
}
