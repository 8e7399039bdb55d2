package room

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// What a name becomes is for Prosody to say. testdata/names.tsv holds what Debian's Prosody 0.12 said; where its library
// is installed, it is asked again.
var update = flag.Bool("update", false, "write testdata/names.tsv anew from the Prosody installed here")

const (
	prosodyLibrary = "/usr/lib/prosody/util/encodings.so"
	namesTable     = "testdata/names.tsv"
	// refused stands for a name that is refused: no prepared name holds this byte.
	refused = "\xff"
)

// preparedAs is what nodeprep and nameprep make of one string.
type preparedAs struct{ node, name string }

func here(name string) preparedAs {
	or := func(s string, ok bool) string {
		if !ok {
			return refused
		}
		return s
	}
	return preparedAs{or(nodeprep(name)), or(nameprep(name))}
}

func prosodyIsInstalled(t *testing.T) bool {
	_, missing := os.Stat(prosodyLibrary)
	_, noLua := exec.LookPath("lua5.4")
	if missing != nil || noLua != nil {
		t.Log("Prosody or lua5.4 is not installed here: resting on the table of its answers")
	}
	return missing == nil && noLua == nil
}

// askProsody prepares names with Prosody's own library.
func askProsody(t *testing.T, names []string) []preparedAs {
	t.Helper()
	var in bytes.Buffer
	for _, n := range names {
		fmt.Fprintln(&in, hex.EncodeToString([]byte(n)))
	}
	lua := exec.Command("lua5.4", "testdata/prep.lua")
	lua.Stdin = &in
	out, err := lua.Output()
	if err != nil {
		t.Fatalf("prepare names with Prosody's library: %v", err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(names) {
		t.Fatalf("Prosody's library answered %d lines for %d names", len(lines), len(names))
	}
	answers := make([]preparedAs, len(lines))
	for i, line := range lines {
		node, name, _ := strings.Cut(line, " ")
		answers[i] = preparedAs{unhex(t, node), unhex(t, name)}
	}
	return answers
}

func unhex(t *testing.T, s string) string {
	t.Helper()
	if s == "-" {
		return refused
	}
	raw, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("Prosody's library answered %q: %v", s, err)
	}
	return string(raw)
}

type tableRow struct {
	input string
	want  preparedAs
}

func readTable(t *testing.T) []tableRow {
	t.Helper()
	file, err := os.ReadFile(namesTable)
	if err != nil {
		t.Fatal(err)
	}
	var rows []tableRow
	for line := range strings.Lines(string(file)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 3 {
			t.Fatalf("%s: want three fields in %q", namesTable, line)
		}
		rows = append(rows, tableRow{unquote(t, fields[0]), preparedAs{unquote(t, fields[1]), unquote(t, fields[2])}})
	}
	return rows
}

func unquote(t *testing.T, field string) string {
	t.Helper()
	if field == "refused" {
		return refused
	}
	s, err := strconv.Unquote(field)
	if err != nil {
		t.Fatalf("%s: %q: %v", namesTable, field, err)
	}
	return s
}

func quote(s string) string {
	if s == refused {
		return "refused"
	}
	return strconv.QuoteToASCII(s)
}

func writeTable(t *testing.T, rows []tableRow, answers []preparedAs) {
	t.Helper()
	out := "# name, what nodeprep makes of it, what nameprep makes of it: the answers of Debian's Prosody 0.12 (util.encodings).\n" +
		"# A name is added with any answer; then: go test ./internal/room -run TestNames -update\n"
	for i, row := range rows {
		out += quote(row.input) + "\t" + quote(answers[i].node) + "\t" + quote(answers[i].name) + "\n"
	}
	if err := os.WriteFile(namesTable, []byte(out), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestNames_ArePreparedAsProsodyPreparesThem(t *testing.T) {
	rows := readTable(t)
	if prosodyIsInstalled(t) {
		inputs := make([]string, len(rows))
		for i, row := range rows {
			inputs[i] = row.input
		}
		answers := askProsody(t, inputs)
		if *update {
			writeTable(t, rows, answers)
			rows = readTable(t)
		}
		for i, row := range rows {
			if row.want != answers[i] {
				t.Errorf("the table is out of date for %+q: Prosody says %+q", row.input, answers[i])
			}
		}
	}
	for _, row := range rows {
		if got := here(row.input); got != row.want {
			t.Errorf("%+q: got %+q, Prosody has %+q", row.input, got, row.want)
		}
	}
}

func TestNames_EveryCodePointIsPreparedAsProsodyPreparesIt(t *testing.T) {
	if !prosodyIsInstalled(t) {
		return
	}
	var names []string
	for r := rune(1); r <= 0x10FFFF; r++ {
		// Behind plane 2 there is nothing but tags (plane 14), private use, and the ends of planes.
		sameAsItsNeighbours := r > 0x2FFFF && r>>12 != 0xE0 && r&0xFFFF > 0x10 && r&0xFFFF < 0xFFF0
		if r>>11 != 0xD800>>11 && !sameAsItsNeighbours {
			names = append(names, string(r))
		}
	}
	compareWithProsody(t, names)
}

// scripts are ranges whose mixtures try composition, reordering, directions and code points younger than Unicode 3.2.
var scripts = [][2]rune{
	{0x20, 0x7F}, {0x80, 0x24F}, {0x300, 0x36F}, {0x590, 0x6FF}, {0x870, 0x8FF}, {0x900, 0xDFF}, {0x1100, 0x11FF},
	{0x1800, 0x18AF}, {0x1E00, 0x20FF}, {0x3040, 0x30FF}, {0xAC00, 0xAC80}, {0xFB00, 0xFDFF}, {0xFF00, 0xFFEF},
	{0x10A00, 0x10FFF}, {0x1D160, 0x1D7FF}, {0x1E800, 0x1EFFF}, {0x1F300, 0x1F9FF}, {0x2F800, 0x2FA1F},
}

func TestNames_MixturesOfScriptsArePreparedAsProsodyPreparesThem(t *testing.T) {
	if !prosodyIsInstalled(t) {
		return
	}
	random := rand.New(rand.NewPCG(3454, 3920))
	names := make([]string, 40_000)
	for i := range names {
		mix := [][2]rune{scripts[random.IntN(len(scripts))], scripts[random.IntN(len(scripts))], {0x300, 0x36F}}
		var b strings.Builder
		for range 1 + random.IntN(5) {
			script := mix[random.IntN(len(mix))]
			b.WriteRune(script[0] + random.Int32N(script[1]-script[0]+1))
		}
		names[i] = b.String()
	}
	compareWithProsody(t, names)
}

func compareWithProsody(t *testing.T, names []string) {
	t.Helper()
	differences := 0
	for i, want := range askProsody(t, names) {
		if got := here(names[i]); got != want {
			t.Errorf("%+q: got %+q, Prosody has %+q", names[i], got, want)
			if differences++; differences == 20 {
				t.Fatal("and more")
			}
		}
	}
}

func TestNames_WithMoreThanThirtyMarksInARowAreRefused(t *testing.T) {
	if got := here("a" + strings.Repeat("\u0301", 40)); got != (preparedAs{refused, refused}) {
		t.Errorf("got %+q", got)
	}
}
