package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/usher-im/usher/internal/token"
)

// command is one that runs: a leaf of commands.
type command interface {
	Run(ctx context.Context, c *commands, s streams) error
}

// parse reads the command line into c and gives the command that it names, or none if it asked for help and got it.
//
// Of kong this takes the model, the trace and the help, but neither Parse nor Run: they look methods up by a name that
// the linker cannot know, so that it keeps every public method of every type, 9 MB that nobody calls. What Validate does
// beyond is in check.
func parse(c *commands, s streams, args []string) (command, error) {
	if slices.ContainsFunc(args, token.In) { // before anything quotes it
		return nil, errors.New("a token is never an argument, which every user of the machine sees: give it on stdin or in a file, and take this one for leaked")
	}
	parser, err := kong.New(c, kong.Name("usher"), kong.Writers(s.out, s.err),
		kong.Description("The token door-keeper for Prosody and Jitsi Meet."))
	if err != nil {
		return nil, fmt.Errorf("the command line is built wrongly: %w", err)
	}
	line, err := kong.Trace(parser, joined(parser.Model, meant(args)))
	if err != nil {
		return nil, err
	}
	if line.Error != nil {
		return nil, misspelt(line, line.Error)
	}
	if asksHelp(line) {
		return nil, help(line)
	}
	if err := line.Reset(); err != nil { // defaults and environment
		return nil, err
	}
	if _, err := line.Apply(); err != nil {
		return nil, misspelt(line, err)
	}
	c.reach = reachOf(line)
	run, err := check(line)
	if err != nil {
		return nil, misspelt(line, err)
	}
	return run, nil
}

// meant writes what people type first as the flag or the command that it means: help before a command, and --version alone.
func meant(args []string) []string {
	switch {
	case len(args) > 0 && args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	case len(args) == 1 && args[0] == "--version":
		return []string{"version"}
	}
	return args
}

// misspelt says of a wrong command line whose help tells how it is written.
func misspelt(line *kong.Context, err error) error {
	command := ""
	if selected := line.Selected(); selected != nil {
		command = selected.FullPath() + " "
	}
	text := strings.Replace(err.Error(), ` but got "EOL" (<EOL>)`, ", and there is none", 1)
	return fmt.Errorf("%s (see `%s--help`)", text, cmp.Or(command, "usher "))
}

func asksHelp(line *kong.Context) bool {
	for _, step := range line.Path {
		if step.Flag != nil && step.Flag == line.Model.HelpFlag {
			return true
		}
	}
	return false
}

// help shows what may follow. Commands that stand for one of theirs take its flags, so these belong to the answer.
func help(line *kong.Context) error {
	if err := line.PrintUsage(false); err != nil {
		return err
	}
	group := line.Selected()
	if group == nil || group.DefaultCmd == nil {
		return nil
	}
	fmt.Fprintf(line.Stdout, "\nWithout a further command, usher %s is usher %s:\n\n", group.Path(), group.DefaultCmd.Path())
	line.Path = append(line.Path, &kong.Path{Parent: group, Command: group.DefaultCmd, Flags: group.DefaultCmd.Flags})
	return line.PrintUsage(false)
}

// joined writes a flag and a value that begins with one hyphen in one: times do, such as -5m, and ids of keys, and kong would
// take them for short flags. Two hyphens are a flag always: --user --dry-run must not revoke a user of that name.
func joined(model *kong.Application, args []string) (all []string) {
	takesValue := map[string]bool{}
	_ = kong.Visit(model, func(v kong.Visitable, next kong.Next) error { // which fails where a visit does
		if flag, ok := v.(*kong.Flag); ok && !flag.IsBool() {
			takesValue["--"+flag.Name] = true
		}
		return next(nil)
	})
	for i, arg := range args {
		if i > 0 && takesValue[args[i-1]] && len(arg) > 1 && arg[0] == '-' && arg[1] != '-' && arg != "-h" {
			all[len(all)-1] += "=" + arg
			continue
		}
		all = append(all, arg)
	}
	return all
}

// check gives the command, once nothing that it needs is missing and no two flags contradict each other.
func check(line *kong.Context) (command, error) {
	selected := line.Selected()
	if selected == nil {
		selected = line.Model.Node
	}
	var missing []string
	chosen := map[string]string{} // flag, by the group of which there may be one
	for _, flag := range line.Flags() {
		if flag.Required && !flag.Set {
			missing = append(missing, flag.Summary())
		}
		for _, group := range flag.Xor {
			if !flag.Set {
				continue
			}
			if other, taken := chosen[group]; taken {
				return nil, fmt.Errorf("--%s and --%s can't be used together", other, flag.Name)
			}
			chosen[group] = flag.Name
		}
	}
	for _, arg := range selected.Positional {
		if arg.Required && !arg.Set {
			missing = append(missing, arg.Summary())
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("missing: %s", strings.Join(missing, ", "))
	}
	run, ok := selected.Target.Addr().Interface().(command)
	if !ok {
		return nil, fmt.Errorf("expected one of %s", names(selected.Children))
	}
	return run, nil
}

func names(nodes []*kong.Node) string {
	var list []string
	for _, node := range nodes {
		list = append(list, node.Name)
	}
	return strings.Join(list, ", ")
}
