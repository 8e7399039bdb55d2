package main

import (
	"io"
	"os"
	"strconv"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// screen is what is written to: how wide it is, and whether colours show there.
type screen struct {
	w     io.Writer
	width int // in cells; 0: no bound, as in a file or a pipe
	color bool
}

// screenOf looks at w. $COLUMNS bounds what goes to no terminal; $NO_COLOR is honoured (no-color.org).
func screenOf(w io.Writer) screen {
	s := screen{w: w}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		s.width = n
	}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	s.color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		s.width = width
	}
	return s
}

// paint gives text in a colour where colours show.
func (s screen) paint(c text.Color, words string) string {
	if !s.color || words == "" {
		return words
	}
	return c.EscapeSeq() + words + text.Reset.EscapeSeq()
}

// cut shortens text to a number of cells, and shows that it did.
func cut(words string, cells int) string {
	if cells <= 0 {
		return ""
	}
	return text.Snip(words, cells, "…")
}
