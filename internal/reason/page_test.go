package reason_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/reason"
)

//go:generate go test . -run ^TestPage -update

var update = flag.Bool("update", false, "write docs/reasons.md")

const page = "../../docs/reasons.md"

// head begins the page; what follows is a row for each reason.
const head = `<!-- Made from internal/reason by "go generate ./internal/reason". Change it there. -->

# Why a join was rejected

The first check that fails gives the reason. The checks run in the order of this page, but load is looked at before all others.
What the person is told ends in an id in brackets, which Prosody's log and every list show as well:

` + "```sh" + `
usher audit show 01JDX3M8Z0C2V5Q7R9T1W4Y6AB   # the reason, its detail, and what to do
usher audit --deny --since 2h --room daily     # when only the room or the time is known
usher token explain --host meet.example.com --room daily@conference.meet.example.com < token
                                               # all checks, each with the line of the config that decided
` + "```" + `

What was claimed by a token whose signature is not proven (all reasons up to ` + "`signature_invalid`" + `) is shown as claimed: anybody
can write anything there.

| check | reason | what the person is told | what to look at, and what to do | XMPP condition, and Jitsi's code |
|---|---|---|---|---|
`

const foot = `
With ` + "`service-unavailable`" + ` there was no verdict on the token: the client may come again (at login the condition is
` + "`temporary-auth-failure`" + `), and the audit has it as verdict ` + "`unavailable`" + `. All others are a deny.
`

func writePage() string {
	var b strings.Builder
	b.WriteString(head)
	for _, i := range reason.All() {
		codes := "`" + i.Condition + "`"
		if i.JitsiCode != "" {
			codes += ", `" + i.JitsiCode + "`"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s |\n", i.Code.Check(), i.Code, i.Message, i.Remedy, codes)
	}
	b.WriteString(foot)
	return b.String()
}

func TestPage_IsMadeFromTheReasons(t *testing.T) {
	want := writePage()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(page); err != nil || string(got) != want {
		t.Errorf("docs/reasons.md is not what the reasons say (%v); run `go generate ./internal/reason`", err)
	}
}
