package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/redisserver"
)

// TestMain makes this test binary the command usher for the scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"usher": main})
}

// Each file of testdata/script shows how a command behaves. $VERIFY and $ADMIN are free loopback addresses.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			ports, err := proc.FreePorts(2)
			if err != nil {
				return err
			}
			env.Setenv("VERIFY", fmt.Sprintf("127.0.0.1:%d", ports[0]))
			env.Values[nodeKey{}] = new(*proc.Process)
			env.Setenv("ADMIN", fmt.Sprintf("127.0.0.1:%d", ports[1]))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"expand": expand, "mode": mode, "start": startNode, "redis": startRedis, "serving": serving, "says": says, "ask": ask, "follow": follow,
		},
	})
}

// expand FILE...: puts the values of $VARIABLES into files.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// mode OCTAL FILE: the file's permissions are these.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, not %s", args[1], got, args[0])
	}
}

// serving waits until a node that the script runs itself answers that it is ready.
func serving(ts *testscript.TestScript, _ bool, _ []string) {
	for range 1000 {
		resp, err := http.Get("http://" + ts.Getenv("VERIFY") + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("the node never became ready")
}

// startNode is start ARGS...: runs usher serve in the background, until the script ends, and returns when it is up. Its
// process id is $NODE.
func startNode(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command(usherBinary(ts), append([]string{"serve"}, args...)...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), []string{"PATH=" + ts.Getenv("PATH"), "USHER_LISTEN=" + ts.Getenv("VERIFY"), "USHER_ADMIN_LISTEN=" + ts.Getenv("ADMIN")}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	node, err := proc.Start("usher", cmd)
	ts.Check(err)
	ts.Defer(func() { ts.Check(node.Stop(10 * time.Second)) })
	_, err = node.WaitLine(ctx, "usher is up")
	ts.Check(err)
	*ts.Value(nodeKey{}).(**proc.Process) = node
	ts.Setenv("NODE", strconv.Itoa(node.PID()))
}

// usherBinary is this test binary under the name of usher.
func usherBinary(ts *testscript.TestScript) string {
	bin, _, _ := strings.Cut(ts.Getenv("PATH"), string(os.PathListSeparator))
	return filepath.Join(bin, "usher")
}

// nodeKey is where a script keeps the node that start started.
type nodeKey struct{}

// says TEXT: waits until the node has written a line with TEXT to its log.
func says(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err := (*ts.Value(nodeKey{}).(**proc.Process)).WaitLine(ctx, args[0])
	ts.Check(err)
}

// startRedis is redis [OPTIONS...]: runs a Redis, and sets $REDIS to its URL.
func startRedis(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	dir := ts.MkAbs("redis")
	ts.Check(os.MkdirAll(dir, 0o700))
	server, err := redisserver.Start(ctx, dir, args...)
	ts.Check(err)
	ts.Defer(func() { ts.Check(server.Stop()) })
	ts.Setenv("REDIS", server.URL())
}
