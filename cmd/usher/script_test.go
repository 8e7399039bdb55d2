package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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

// Each file of testdata/script shows how a command behaves. $VERIFY and $ADMIN are free loopback addresses, $PORT is the
// port of the first.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			ports, err := proc.FreePorts(2)
			if err != nil {
				return err
			}
			env.Setenv("VERIFY", fmt.Sprintf("127.0.0.1:%d", ports[0]))
			env.Setenv("PORT", strconv.Itoa(ports[0]))
			env.Values[nodeKey{}] = new(*proc.Process)
			env.Setenv("ADMIN", fmt.Sprintf("127.0.0.1:%d", ports[1]))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"expand": expand, "mode": mode, "start": startNode, "unheard": startUnheard, "redis": startRedis, "serving": serving, "says": says, "ask": ask, "follow": follow,
			"certificate": certificate, "exits": exits, "foreign": foreign, "owned": owned,
			"insist": insist, "unanswered": unanswered, "hasty": hasty,
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Geteuid() == 0, nil
			case "mounts": // in a namespace of its own
				return exec.Command("unshare", "-rm", "mount", "-t", "tmpfs", "none", os.TempDir()).Run() == nil, nil
			}
			return false, fmt.Errorf("there is no condition %s", name)
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
	runNode(ts, exec.Command(usherBinary(ts), append([]string{"serve"}, args...)...))
}

// startUnheard is unheard: like start, but nobody reads the node's stdout any more once it is up.
func startUnheard(ts *testscript.TestScript, _ bool, _ []string) {
	pipe := ts.MkAbs("stdout.pipe")
	ts.Check(syscall.Mkfifo(pipe, 0o600))
	reader, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	ts.Check(err)
	defer reader.Close()
	runNode(ts, exec.Command("sh", "-c", `exec "$0" serve >"$1"`, usherBinary(ts), pipe))
}

func runNode(ts *testscript.TestScript, cmd *exec.Cmd) {
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

// foreign is foreign NAME: makes a data_dir, $NAME, that belongs to somebody else where root runs the script, where its
// owner gets at it.
func foreign(ts *testscript.TestScript, _ bool, args []string) {
	top, err := os.MkdirTemp("", "usher-foreign-")
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(top) })
	dir := filepath.Join(top, "data")
	ts.Check(os.Chmod(top, 0o711))
	ts.Check(os.Mkdir(dir, 0o700))
	if os.Geteuid() == 0 {
		ts.Check(os.Chown(dir, 12345, 12345))
	}
	ts.Setenv(args[0], dir)
}

// owned is owned DIR FILE...: the files are in DIR, and all that is there belongs to DIR's owner.
func owned(ts *testscript.TestScript, _ bool, args []string) {
	owner := func(path string) uint32 {
		info, err := os.Lstat(path)
		ts.Check(err)
		return info.Sys().(*syscall.Stat_t).Uid
	}
	for _, name := range args[1:] {
		owner(filepath.Join(args[0], name))
	}
	ts.Check(filepath.WalkDir(args[0], func(path string, _ fs.DirEntry, err error) error {
		if err == nil && owner(path) != owner(args[0]) {
			return fmt.Errorf("%s belongs to user %d", path, owner(path))
		}
		return err
	}))
}

// certificate is certificate HOST CERT KEY: writes a new key and its certificate for HOST alone.
func certificate(ts *testscript.TestScript, _ bool, args []string) {
	public, private, err := ed25519.GenerateKey(nil)
	ts.Check(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: args[:1]}
	cert, err := x509.CreateCertificate(nil, template, template, public, private)
	ts.Check(err)
	key, err := x509.MarshalPKCS8PrivateKey(private)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
}
