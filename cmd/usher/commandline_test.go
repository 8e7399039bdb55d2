package main

import (
	"bytes"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// parse checks itself what kong's Validate would. A tag that it does not know would be a rule that nobody keeps.
func TestCommandLine_AsksForNothingThatIsNotChecked(t *testing.T) {
	parser, err := kong.New(new(commands))
	if err != nil {
		t.Fatal(err)
	}
	err = kong.Visit(parser.Model, func(v kong.Visitable, next kong.Next) error {
		switch v := v.(type) {
		case *kong.Flag:
			if v.Enum != "" || len(v.And) > 0 || len(v.LastWins) > 0 {
				t.Errorf("--%s: enum, and, lastwins are not checked", v.Name)
			}
		case *kong.Node:
			seeNode(t, v)
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func seeNode(t *testing.T, node *kong.Node) {
	target := node.Target.Addr().Interface()
	if _, runs := target.(command); runs != node.Leaf() {
		t.Errorf("%s: has it commands of its own? %v. Does it run? %v", node.Path(), !node.Leaf(), runs)
	}
	if _, ok := target.(interface{ Validate() error }); ok || node.Type == kong.ArgumentNode {
		t.Errorf("%s: Validate methods and branching arguments are not checked", node.Path())
	}
	for _, arg := range node.Positional {
		if arg.Enum != "" {
			t.Errorf("%s %s: enum is not checked", node.Path(), arg.Name)
		}
	}
}

func TestCommandLine_SaysWhatIsWrong(t *testing.T) {
	for line, want := range map[string]string{
		"":                               "expected one of serve, init, ",
		"token":                          "expected one of mint, explain",
		"audit show":                     "missing: <id> (see `usher audit show --help`)",
		"revoke lift":                    "missing: <id> ... (see `usher revoke lift --help`)",
		"lift":                           "unexpected argument lift (see `usher --help`)",
		"help lift":                      "unexpected argument lift (see `usher --help`)",
		"credential create":              "missing: --role=ROLE, --name=NAME",
		"audit --deny --verdict allow":   "--deny and --verdict can't be used together",
		"audit stats --csv --json":       "--json and --csv can't be used together",
		"audit --dent":                   "unknown flag --dent, did you mean \"--deny\"?",
		"audit find me":                  "unexpected argument me",
		"audit --limit many":             "--limit: expected a valid 64 bit int but got \"many\"",
		"credential delete one two":      "unexpected argument two",
		"--config":                       "--config: expected file value, and there is none (see `usher --help`)",
		"audit --room":                   "--room: expected string value, and there is none (see `usher audit --help`)",
		"audit erase --json":             "unknown flag --json",
		"token mint --iss app --sub lot": "missing: --key=FILE",
	} {
		run, err := parse(new(commands), streams{out: io.Discard, err: io.Discard}, strings.Fields(line))
		if err == nil || run != nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("usher %s: %v, not %q", line, err, want)
		}
	}
}

func TestCommandLine_NeverQuotesAToken(t *testing.T) {
	const token = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhcHAifQ.c2lnbmF0dXJl"
	for _, line := range []string{"token explain " + token, "revoke " + token, "revoke --jti=" + token, "audit show " + token, "audit --limit " + token} {
		_, err := parse(new(commands), streams{out: io.Discard, err: io.Discard}, strings.Fields(line))
		if err == nil || strings.Contains(err.Error(), "eyJ") || !strings.Contains(err.Error(), "stdin") {
			t.Errorf("usher %s: %v", line, err)
		}
	}
	if _, err := parse(new(commands), streams{}, strings.Fields("revoke --user exam.corp.test --room exam.math.2026")); err != nil {
		t.Errorf("names are taken for tokens: %v", err)
	}
}

func TestCommandLine_FillsInFlagsDefaultsAndEnvironment(t *testing.T) {
	t.Setenv("USHER_SERVER", "http://127.0.0.1:1")
	var c commands
	run, err := parse(&c, streams{}, []string{"--config", "/a.yaml", "audit", "--since", "2h", "--deny"})
	if err != nil {
		t.Fatal(err)
	}
	find := &c.Audit.Find
	if run != find || c.Config != "/a.yaml" || find.Since != "2h" || !find.Deny || find.Limit != 100 || find.Server != "http://127.0.0.1:1" {
		t.Errorf("%#v", find)
	}
}

// A command that stands for one of its own takes its flags, so that its help must show them.
func TestHelp_ShowsTheFlagsOfACommandAlone(t *testing.T) {
	for line, flag := range map[string]string{
		"audit --help": "--since=TIME", "audit --deny --help": "--since=TIME", "audit find -h": "--since=TIME", "revoke --help": "--room=ROOM",
		"audit show --help": "--offline", "--help": "--config=FILE", "help": "--config=FILE", "help audit show": "--offline", "help revoke": "--room=ROOM",
	} {
		var out bytes.Buffer
		run, err := parse(new(commands), streams{out: &out, err: io.Discard}, strings.Fields(line))
		if run != nil || err != nil || !strings.Contains(out.String(), flag) {
			t.Errorf("usher %s: no %s: %v\n%s", line, flag, err, out.String())
		}
	}
}

func TestCommandLine_TellsTheVersionAsEveryOtherDoes(t *testing.T) {
	var c commands
	if run, err := parse(&c, streams{}, []string{"--version"}); run != &c.Version || err != nil {
		t.Errorf("%T, %v", run, err)
	}
}

func TestCommandLine_TakesAValueThatBeginsWithAHyphen(t *testing.T) {
	for line, given := range map[string]func(*commands) bool{
		"token mint --key f --exp -1h":              func(c *commands) bool { return c.Token.Mint.Exp == "-1h" },
		"revoke --kid -qUn8 --issuer my-app":        func(c *commands) bool { return slices.Equal(c.Revoke.Add.Kid, []string{"-qUn8"}) },
		"config import --inline-secrets -o o p.lua": func(c *commands) bool { return filepath.Base(c.Conf.Import.Out) == "o" },
	} {
		var c commands
		if _, err := parse(&c, streams{}, strings.Fields(line)); err != nil || !given(&c) {
			t.Errorf("usher %s: %v, %+v", line, err, c)
		}
	}
	for _, line := range []string{"revoke --user --dry-run", "revoke --user -h", "revoke --user"} {
		if _, err := parse(new(commands), streams{}, strings.Fields(line)); err == nil || !strings.HasPrefix(err.Error(), "--user: ") {
			t.Errorf("usher %s: %v", line, err)
		}
	}
}
