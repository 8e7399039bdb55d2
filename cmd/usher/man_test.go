package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

//go:generate go test . -run ^TestManual -update

var update = flag.Bool("update", false, "write the manual page anew")

// The manual page of the Debian package is made from the commands' own help.
func TestManual_IsMadeFromTheCommandLine(t *testing.T) {
	const page = "../../deploy/deb/usher.1"
	parser, err := kong.New(new(commands), kong.Name("usher"))
	if err != nil {
		t.Fatal(err)
	}
	text := manual(parser.Model)
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if is, err := os.ReadFile(page); err != nil || string(is) != text {
		t.Errorf("%s is not what the commands say (%v); run `go generate ./cmd/usher`", page, err)
	}
}

// manual is the page, as man(7) wants it.
func manual(app *kong.Application) string {
	var b strings.Builder
	b.WriteString(".\\\" Made from the command line by go generate ./cmd/usher\n.TH USHER 1\n.SH NAME\n" +
		"usher \\- token door-keeper for Prosody and Jitsi Meet\n.SH SYNOPSIS\n.B usher\n.I command\n[flags]\n.SH OPTIONS\n")
	flags(&b, app.Flags)
	b.WriteString(".SH COMMANDS\n")
	for _, leaf := range app.Leaves(true) {
		fmt.Fprintf(&b, ".SS %s\n%s\n", roff(leaf.Summary()), roff(leaf.Help))
		for _, arg := range leaf.Positional {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(arg.Summary()), roff(arg.Help))
		}
		for _, group := range leaf.AllFlags(true) {
			if group[0] != app.Flags[0] {
				flags(&b, group)
			}
		}
	}
	fmt.Fprintf(&b, ".SH EXIT STATUS\n%d: done or allowed. %d: failed, or no verdict could be had. %d: wrong usage or config. %d: the verdict was a deny.\n",
		exitDone, exitFailed, exitUsage, exitDeny)
	b.WriteString(".SH SEE ALSO\nIn /usr/share/doc/usher: revocation.md (a token has leaked: step by step), reasons.md (why was this join\nrejected?), audit.md, configuration.md.\n")
	return b.String()
}

func flags(b *strings.Builder, all []*kong.Flag) {
	for _, f := range all {
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(f.String()), roff(f.Help))
	}
}

func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}
