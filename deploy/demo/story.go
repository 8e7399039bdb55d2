package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/e2e/verifier"
)

const (
	daily, boardroom = "daily@conference." + domain, "boardroom@conference." + domain
	mint             = "token mint --key " + dir + "/app.secret --iss demo --aud jitsi --sub " + domain + " --room daily --user alice"
	explain          = "token explain --config " + dir + "/usher.yaml --host " + domain + " --room "
)

// tell is the story: what is done, by which command, and what came of it.
func tell(ctx context.Context, usher *verifier.Verifier, server *prosody.Server) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	fmt.Printf("A real Prosody %s asks a real usher, on this machine alone.\n\n", server.Options.Release.Name)
	fmt.Printf("1. Both are running\n   usher    %s  (%s/usher.yaml)\n   Prosody  %s  (%s/prosody.cfg.lua)\n\n",
		usher.URL, dir, server.WebSocketURL(), dir)

	fmt.Printf("2. A token for alice: she may enter the room daily, and record there\n")
	token, err := command("", mint+" --feature recording=true")
	if err != nil {
		return err
	}
	token = strings.TrimSpace(token)
	fmt.Printf("   %s…\n\n", token[:60])

	fmt.Printf("3. Alice connects with her token and joins daily\n")
	alice, err := login(ctx, server, token)
	if err != nil {
		return err
	}
	defer alice.Close()
	self, err := alice.Join(ctx, daily, "alice")
	if err != nil {
		return err
	}
	var may string
	err = server.Lua(ctx, fmt.Sprintf(`return require "util.json".encode(prosody.full_sessions[%q].jitsi_meet_context_features);`, alice.JID), &may)
	if err != nil {
		return err
	}
	fmt.Printf("   ALLOWED  she is in %s as %s, with the features %s\n\n", daily, self.Find("x/item").Attr("affiliation"), may)

	fmt.Printf("4. With the same token she tries boardroom\n")
	_, err = alice.Join(ctx, boardroom, "alice")
	var refused *client.StanzaError
	if !errors.As(err, &refused) {
		return fmt.Errorf("the join of boardroom should have been refused; it ended with: %w", err)
	}
	fmt.Printf("   DENIED   <%s/> <%s/> %q\n\n", refused.Condition, refused.JitsiCode, refused.Text)

	fmt.Printf("5. Why? The number in that text, on a user's screenshot, is all that the operator needs\n")
	if err := showRecord(ctx, refused.Text); err != nil {
		return err
	}
	if err := strangers(ctx, server); err != nil {
		return err
	}
	return leak(ctx, alice, token)
}

// showRecord asks the audit for the decision whose id ends text. Events reach the store in batches, a moment later.
func showRecord(ctx context.Context, text string) error {
	id := strings.TrimSuffix(text[strings.LastIndex(text, "(")+1:], ")")
	line := "audit show " + id + " --config " + dir + "/usher.yaml"
	fmt.Printf("   $ bin/usher %s\n", line)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		record, err := run("", line)
		if err == nil {
			show(record)
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// strangers are those who do not get as far as a room.
func strangers(ctx context.Context, server *prosody.Server) error {
	fmt.Printf("6. Mallory comes with alice's token of yesterday, and then without one\n")
	expired, err := command("", mint+" --iat=-24h --exp=-23h")
	if err != nil {
		return err
	}
	for _, token := range []string{strings.TrimSpace(expired), ""} {
		_, err := login(ctx, server, token)
		var refused *client.LoginError
		if !errors.As(err, &refused) {
			return fmt.Errorf("the login should have been refused; it ended with: %w", err)
		}
		fmt.Printf("   DENIED   <%s/> %q\n", refused.Condition, refused.Text)
	}
	fmt.Println()
	return nil
}

// leak revokes alice's token while she is inside.
func leak(ctx context.Context, alice *client.Client, token string) error {
	fmt.Printf("7. Alice's token was pasted into a ticket, so it is revoked; she is still in daily\n")
	said, err := command(token, "revoke --token-stdin --reason leaked --config "+dir+"/usher.yaml")
	if err != nil {
		return err
	}
	since := time.Now()
	show(said)
	var out *client.StreamError
	if err := alice.Ended(ctx); !errors.As(err, &out) {
		return fmt.Errorf("alice should have been put out; her stream ended with: %w", err)
	}
	fmt.Printf("   PUT OUT  <%s/> %q, %d ms later\n", out.Condition, out.Text, time.Since(since).Milliseconds())
	fmt.Printf(`
Try it yourself:
   go run ./deploy/demo --keep       # leaves both running, for your own XMPP client
   bin/usher %s |
      bin/usher %s%s
   bin/usher init --domain meet.your.org    # a config of your own; then: usher config check, usher serve
`, mint, explain, boardroom)
	return nil
}

func login(ctx context.Context, server *prosody.Server, token string) (*client.Client, error) {
	c, err := client.Dial(ctx, client.Options{URL: server.WebSocketURL(), Domain: domain, Token: token})
	if err != nil {
		return nil, err
	}
	if err := c.Login(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// command shows a command line of usher as a user would type it, and runs it.
func command(stdin, line string) (string, error) {
	fmt.Printf("   $ bin/usher %s\n", line)
	return run(stdin, line)
}

func run(stdin, line string) (string, error) {
	cmd := exec.Command("bin/usher", strings.Fields(line)...)
	var words bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &words
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("usher %s: %w: %s", line, err, words.Bytes())
	}
	return string(out), nil
}

func show(text string) {
	for line := range strings.Lines(text) {
		fmt.Print("   ", line)
	}
	fmt.Println()
}
