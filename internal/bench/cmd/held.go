package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/bench/fixture"
	"github.com/usher-im/usher/internal/bench/join"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/e2e/verifier"
	"github.com/usher-im/usher/internal/token"
)

// heldCmd holds sessions: a job is the first line of stdin.
type heldCmd struct{}

func (*heldCmd) Run(ctx context.Context) error {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	var j join.Job
	if err := json.Unmarshal(line, &j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	return join.Hold(ctx, j, in, os.Stdout)
}

// sessions are held by a process of their own.
type sessions struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (r *run) hold(j join.Job) (*sessions, error) {
	job, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("write a job: %w", err)
	}
	s := &sessions{cmd: exec.CommandContext(r.ctx, r.self, "as-sessions")}
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start the sessions: %w", err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the sessions: %w", err)
	}
	s.out = bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the sessions: %w", err)
	}
	if _, err := s.in.Write(append(job, '\n')); err != nil {
		return nil, fmt.Errorf("start the sessions: %w", err)
	}
	if _, err := s.out.ReadString('\n'); err != nil {
		return nil, fmt.Errorf("the sessions could not log in: %w", err)
	}
	return s, nil
}

// left is how many are still there.
func (s *sessions) left() (int, error) {
	if _, err := io.WriteString(s.in, "?\n"); err != nil {
		return 0, fmt.Errorf("count the sessions: %w", err)
	}
	line, err := s.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("count the sessions: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(line))
}

func (s *sessions) end() {
	s.in.Close()
	_ = s.cmd.Wait()
}

// held keeps many sessions on the newest Prosody, first in peace and then with revocations that put some of them out.
func (r *run) held() error {
	many, burst := 10_000, 1000
	if r.quick {
		many, burst = 1000, 100
	}
	releases, err := prosody.Releases()
	if err != nil {
		return err
	}
	v, err := r.startUsher("")
	if err != nil {
		return err
	}
	defer v.Stop()
	e, err := r.entrance(releases[len(releases)-1], gate{v: v})
	if err != nil {
		return err
	}
	defer e.Stop()
	r.say("  %d sessions log in", many)
	j := e.job
	j.Tokens = fixture.RoamingTokens(token.HS256, many, time.Now())
	s, err := r.hold(j)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, e.Log.Tail(20))
	}
	defer s.end()

	what := strconv.Itoa(many) + " sessions held"
	for _, p := range []struct {
		name string
		pid  int
	}{{"usher", v.PID()}, {"Prosody", e.PID()}} {
		used, err := idleCPU(r.ctx, p.pid, time.Duration(r.seconds(5)*float64(time.Second)))
		if err != nil {
			return err
		}
		resident, err := residentMemory(p.pid)
		if err != nil {
			return err
		}
		r.add("scale", what+", feed idle: CPU of "+p.name, "% of a core", []float64{used}, nil)
		r.add("scale", what+": memory of "+p.name, "MB", []float64{resident}, nil)
	}
	return r.bursts(v, s, what, many, burst)
}

// bursts revokes users, some hundred at once, and waits until all of them are out.
func (r *run) bursts(v *verifier.Verifier, s *sessions, what string, many, burst int) error {
	var took []float64
	gone := 0
	for range r.rounds {
		started := time.Now()
		if err := revokeUsers(r.ctx, v, gone, burst); err != nil {
			return err
		}
		gone += burst
		for {
			left, err := s.left()
			if err != nil {
				return err
			}
			if left <= many-gone {
				break
			}
			if time.Since(started) > time.Minute {
				return fmt.Errorf("a minute after %d users were revoked %d sessions are left, and should be %d", burst, left, many-gone)
			}
			time.Sleep(5 * time.Millisecond)
		}
		took = append(took, float64(time.Since(started))/float64(time.Millisecond))
	}
	r.add("scale", fmt.Sprintf("%s: %d users revoked at once, until all are out", what, burst), "ms", took, nil)
	left, err := s.left()
	if err != nil {
		return err
	}
	r.add("scale", what+": sessions put out that were not revoked", "", []float64{float64(many - gone - left)}, nil)
	return nil
}

// revokeUsers revokes the bearers of the fixture's tokens from first on, by one request.
func revokeUsers(ctx context.Context, v *verifier.Verifier, first, many int) error {
	type item struct {
		Selector string `json:"selector"`
		Issuer   string `json:"issuer"`
		Value    string `json:"value"`
		Reason   string `json:"reason"`
	}
	var body struct {
		Items []item `json:"items"`
	}
	for n := range many {
		body.Items = append(body.Items, item{"user", fixture.Issuer, fixture.UserID(first + n), "benchmark"})
	}
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write revocations: %w", err)
	}
	credential, err := os.ReadFile(v.CredentialFile)
	if err != nil {
		return fmt.Errorf("read the credential: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.AdminURL+"/v1/revocations", bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(credential)))
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(answer.Body, 1000))
		return fmt.Errorf("revoke: %s: %s", answer.Status, said)
	}
	return nil
}
