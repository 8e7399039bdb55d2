package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/usher-im/usher/internal/e2e/proc"
)

// ask NAME=VALUE...: asks the node for a verdict and waits until it can be found in the audit. token=@FILE sends the
// token in FILE. $DECISION is the decision's id, $VERDICT the answer.
func ask(ts *testscript.TestScript, _ bool, args []string) {
	id, answer := decision(ts, args)
	ts.Setenv("DECISION", id)
	ts.Setenv("VERDICT", answer)
	recorded(ts, id)
}

// decision asks the node.
func decision(ts *testscript.TestScript, args []string) (id, answer string) {
	question := map[string]string{"id": fmt.Sprint(time.Now().UnixNano()), "stage": "connect", "host": "meet.example.com", "session": "s1"}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		if file, ok := strings.CutPrefix(value, "@"); ok {
			value = strings.TrimSpace(ts.ReadFile(file))
		}
		question[name] = value
	}
	body, err := json.Marshal(question)
	ts.Check(err)
	resp, err := http.Post("http://"+ts.Getenv("VERIFY")+"/v1/verify", "application/json", bytes.NewReader(body))
	ts.Check(err)
	b, err := io.ReadAll(resp.Body)
	ts.Check(err)
	resp.Body.Close()
	var verdict struct {
		DecisionID string `json:"decision_id"`
	}
	ts.Check(json.Unmarshal(b, &verdict))
	return verdict.DecisionID, string(b)
}

// recorded waits until the audit has an event.
func recorded(ts *testscript.TestScript, id string) {
	req, err := http.NewRequest(http.MethodGet, "http://"+ts.Getenv("ADMIN")+"/v1/events/"+id, nil)
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile("data/local.credential")))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		resp, err := http.DefaultClient.Do(req)
		ts.Check(err)
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
		<-tick.C
	}
	ts.Fatalf("the decision %s is not in the audit", id)
}

// follow WANT ARGS...: runs usher audit --follow ARGS, makes decisions until it shows WANT, and interrupts it, which
// must be a good end. No line tells when a follower has its place, so that more than one decision may be needed.
func follow(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command(usherBinary(ts), append([]string{"audit", "--follow"}, args[1:]...)...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), []string{"PATH=" + ts.Getenv("PATH")}
	p, err := proc.Start("usher audit --follow", cmd)
	ts.Check(err)
	defer p.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err = p.WaitLine(ctx, "following")
	ts.Check(err)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !p.Log.Contains(args[0]) {
		decision(ts, nil)
		select {
		case <-tick.C:
		case <-p.Done():
			ts.Fatalf("the follower ended: %s", p.Log)
		case <-ctx.Done():
			ts.Fatalf("the follower never shows %q: %s", args[0], p.Log)
		}
	}
	ts.Check(p.Signal(syscall.SIGINT))
	if code := p.ExitCode(); code != exitDone {
		ts.Fatalf("an interrupted follower exits with %d: %s", code, p.Log)
	}
}
