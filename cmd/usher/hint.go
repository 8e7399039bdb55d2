package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// reach is what was given on the command line to say by which config, and of which node or store, something is asked.
// Commands that a person is told of take it along: pasted without it, they would ask another one.
type reach struct {
	commands *kong.Node
	given    []*kong.Flag
}

// asksNobody are the commands that read no config.
var asksNobody = []string{"config example", "config import", "token mint", "version"}

func reachOf(line *kong.Context) reach {
	r := reach{commands: line.Model.Node}
	for _, step := range line.Path {
		// Of a flag that is given twice the last value counts.
		if step.Flag != nil && slices.Contains([]string{"config", "server", "offline"}, step.Flag.Name) && !slices.Contains(r.given, step.Flag) {
			r.given = append(r.given, step.Flag)
		}
	}
	return r
}

var backquoted = regexp.MustCompile("`[^`]+`")

// hint gives a text with the commands that it has in backquotes as they are to be typed here.
func (r reach) hint(words string) string {
	return backquoted.ReplaceAllStringFunc(words, func(quoted string) string {
		return "`" + r.further(strings.Trim(quoted, "`")) + "`"
	})
}

// further gives a command line as it is to be typed here: with the flags that were given, as far as that command knows
// them and they are not in it.
func (r reach) further(line string) string {
	if len(r.given) == 0 {
		return line
	}
	words := strings.Fields(line)
	from := slices.Index(words, "usher") + 1
	node, n := r.commands, from
	for from > 0 && n < len(words) {
		child := slices.IndexFunc(node.Children, func(c *kong.Node) bool { return c.Name == words[n] })
		if child < 0 {
			break
		}
		node, n = node.Children[child], n+1
	}
	if n == from || slices.Contains(asksNobody, strings.Join(words[from:n], " ")) {
		return line
	}
	known := node.AllFlags(true)
	if node.DefaultCmd != nil {
		known = node.DefaultCmd.AllFlags(true)
	}
	var flags []string
	for _, flag := range r.given {
		same := func(f *kong.Flag) bool { return f.Name == flag.Name }
		if slices.Contains(words, "--"+flag.Name) || !slices.ContainsFunc(slices.Concat(known...), same) {
			continue
		}
		flags = append(flags, "--"+flag.Name)
		if !flag.IsBool() {
			flags = append(flags, shellWord(flag.Target.String()))
		}
	}
	if len(flags) == 0 {
		return line
	}
	return strings.Join(slices.Insert(words, n, flags...), " ")
}

// shellWord writes a text so that a shell takes it for one word.
func shellWord(text string) string {
	if text != "" && strings.Trim(text, idLetters+"/.:,=@%+") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
