package join

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/usher-im/usher/internal/bench/cpu"
	"github.com/usher-im/usher/internal/e2e/client"
)

// Hold logs in a client for each token of a job, into rooms of ten, and keeps them there. It writes "holding" when all
// are in, then the number of those that are left after each line that it reads, and ends with its input.
func Hold(ctx context.Context, j Job, in io.Reader, out io.Writer) error {
	if err := cpu.KeepTo(j.Core); err != nil {
		return err
	}
	var next, left atomic.Int64
	failed := make([]error, j.Lanes)
	var group sync.WaitGroup
	for lane := range j.Lanes {
		group.Go(func() {
			for n := int(next.Add(1)) - 1; n < len(j.Tokens) && failed[lane] == nil; n = int(next.Add(1)) - 1 {
				failed[lane] = j.hold(ctx, n, &left)
			}
		})
	}
	group.Wait()
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "holding")
	for lines := bufio.NewScanner(in); lines.Scan(); {
		fmt.Fprintln(out, left.Load())
	}
	return nil
}

func (j *Job) hold(ctx context.Context, n int, left *atomic.Int64) error {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := client.Dial(limited, client.Options{URL: j.URL, Domain: j.Domain, Token: j.Tokens[n]})
	if err != nil {
		return fmt.Errorf("session %d: %w", n, err)
	}
	if err := c.Login(limited); err != nil {
		return fmt.Errorf("session %d: %w", n, err)
	}
	if _, err := c.Join(limited, fmt.Sprintf("held-%d@conference.%s", n/10, j.Domain), fmt.Sprintf("guest-%d", n)); err != nil {
		return fmt.Errorf("session %d: %w", n, err)
	}
	left.Add(1)
	go func() {
		_ = c.Ended(ctx) // however it ends
		left.Add(-1)
		c.Close()
	}()
	return nil
}
