package prosodyconf

import (
	"bytes"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// source is where a text came from: usher can read it there as well.
type source struct{ file, variable string }

// sources remembers texts that came from elsewhere, so that a secret that Prosody reads from a file stays there.
type sources map[string]source

func (s sources) add(text string, from source) {
	if text != "" {
		s[text] = from
	}
}

// FileContents, FileLine and FileLines are Prosody 13's; Credential reads from $CREDENTIALS_DIRECTORY, where systemd puts
// credentials.

func (s *scope) fileContents(l *lua.LState) int {
	content, file := s.fileFor(l)
	// usher takes one newline at the end of a secret's file for none of the secret.
	if !bytes.HasSuffix(content, []byte("\n")) {
		s.config.sources.add(string(content), source{file: file})
	}
	l.Push(lua.LString(content))
	return 1
}

func (s *scope) fileLine(l *lua.LState) int {
	content, file := s.fileFor(l)
	line, rest, _ := strings.Cut(string(content), "\n")
	if rest == "" {
		s.config.sources.add(line, source{file: file})
	}
	l.Push(lua.LString(line))
	return 1
}

func (s *scope) fileLines(l *lua.LState) int {
	content, _ := s.fileFor(l)
	lines := l.NewTable()
	for line := range strings.Lines(string(content)) {
		lines.Append(lua.LString(strings.TrimSuffix(line, "\n")))
	}
	l.Push(lines)
	return 1
}

func (s *scope) credential(l *lua.LState) int {
	folder, ok := s.env.value("CREDENTIALS_DIRECTORY")
	if !ok {
		l.RaiseError("Credential() needs $CREDENTIALS_DIRECTORY; set it to the folder with the credentials for the import")
	}
	content, err := readRegular(resolve(folder+"/", l.CheckString(1)))
	if err != nil {
		l.RaiseError("%s", err)
	}
	l.Push(lua.LString(content))
	return 1
}

func (s *scope) fileFor(l *lua.LState) (content []byte, file string) {
	file = resolve(s.file, l.CheckString(1))
	content, err := readRegular(file)
	if err != nil {
		l.RaiseError("%s", err)
	}
	s.pay(l, len(content))
	return content, file
}
