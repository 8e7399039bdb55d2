package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Who types a command that reads stdin and thinks better of it must get out with the keys that end all others.
func TestInput_EndsAtASignal(t *testing.T) {
	usher, err := exec.LookPath("usher")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	secret := filepath.Join(folder, "cli.credential")
	if err := writeNew(secret, "usher_x\n"); err != nil {
		t.Fatal(err)
	}
	for line, word := range map[string]string{
		"token explain":                                      "interrupted",
		"revoke --offline --token-stdin":                     "interrupted",
		"revoke --offline --from - --as user":                "interrupted",
		"revoke import --offline -":                          "interrupted",
		"audit --offline --token-stdin":                      "interrupted",
		"audit erase --user ada --server http://127.0.0.1:1": "nothing was erased",
	} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			cmd := exec.Command(usher, strings.Fields(line)...)
			cmd.Dir, cmd.Env = folder, append(cmd.Environ(), "USHER_CREDENTIAL_FILE="+secret)
			var words strings.Builder
			cmd.Stderr = &words
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// More than a pipe holds: once it is written, the command reads.
			if _, err := in.Write(bytes.Repeat([]byte(" "), 256<<10)); err != nil {
				t.Fatal(line, err)
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(line, err)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != exitFailed && code != exitUsage || !strings.Contains(words.String(), word) {
				t.Errorf("%s: ended with %d at %v and said %q", line, code, sig, words.String())
			}
		}
	}
}
