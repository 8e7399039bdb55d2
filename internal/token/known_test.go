package token_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/usher-im/usher/internal/token"
)

func TestKnownHeaders_ChangesNothingThatIsRead(t *testing.T) {
	files, _ := filepath.Glob("testdata/hostile/*.json")
	if len(files) == 0 {
		t.Fatal("no vectors")
	}
	for _, file := range files {
		raw, _ := readVector(t, file).make(t)
		parsed, problem := token.Parse(raw, token.Limits{})
		readTheSameWithKnownHeaders(t, raw, parsed, problem)
	}
}

func TestKnownHeaders_IsNotReadAgain(t *testing.T) {
	raw := compact(`{"alg":"HS256","kid":"`+strings.Repeat("k", 1000)+`"}`, `{}`)
	first, problem := token.Parse(raw, token.Limits{})
	if problem != nil {
		t.Fatal(problem)
	}
	known := new(token.KnownHeaders)
	known.Remember(first)
	second, _ := token.Parse(raw, token.Limits{Known: known})
	third, _ := token.Parse(raw, token.Limits{Known: known})
	if unsafe.StringData(second.Header.Kid) != unsafe.StringData(third.Header.Kid) {
		t.Error("the header was decoded again")
	}
}

// Several issuers and keys have tokens of one profile: none of them makes the others' headers forgotten.
func TestKnownHeaders_OneMakesRoomForAnother(t *testing.T) {
	known := new(token.KnownHeaders)
	parse := func(n int) *token.Token {
		parsed, problem := token.Parse(compact(`{"alg":"HS256","kid":"key-`+strconv.Itoa(n)+`"}`, `{}`), token.Limits{Known: known})
		if problem != nil {
			t.Fatal(problem)
		}
		return parsed
	}
	const headers = 8
	var first [headers]*token.Token
	for range 2 { // of two that want one place, one has it
		for n := range headers {
			known.Remember(parse(n))
			first[n] = parse(n)
		}
	}
	kept := 0
	for n := range headers {
		again := parse(n)
		if again.Header != first[n].Header {
			t.Errorf("%+v, and then %+v", first[n].Header, again.Header)
		}
		if unsafe.StringData(again.Header.Kid) == unsafe.StringData(first[n].Header.Kid) {
			kept++
		}
	}
	if kept < 2 { // all of them in one place: once in 10^12 runs
		t.Errorf("of %d headers %d was kept", headers, kept)
	}
}

// What is remembered outlives the request in whose buffer the token lay.
func TestKnownHeaders_OutlivesTheToken(t *testing.T) {
	raw := compact(`{"alg":"HS256","kid":"a"}`, `{}`)
	buffer := []byte(raw)
	parsed, problem := token.Parse(unsafe.String(&buffer[0], len(buffer)), token.Limits{})
	if problem != nil {
		t.Fatal(problem)
	}
	known := new(token.KnownHeaders)
	known.Remember(parsed)
	copy(buffer, compact(`{"alg":"none","kid":"b"}`, `{}`))
	for header, want := range map[string]string{`{"alg":"HS256","kid":"a"}`: "HS256", `{"alg":"none","kid":"b"}`: "none"} {
		again, problem := token.Parse(compact(header, `{}`), token.Limits{Known: known})
		if problem != nil || again.Header.Alg != want {
			t.Errorf("%s: %+v, %v", header, again, problem)
		}
	}
}
