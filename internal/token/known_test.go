package token_test

import (
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/usher-im/usher/internal/token"
)

func TestKnownHeader_ChangesNothingThatIsRead(t *testing.T) {
	files, _ := filepath.Glob("testdata/hostile/*.json")
	if len(files) == 0 {
		t.Fatal("no vectors")
	}
	for _, file := range files {
		raw, _ := readVector(t, file).make(t)
		parsed, problem := token.Parse(raw, token.Limits{})
		readTheSameWithAKnownHeader(t, raw, parsed, problem)
	}
}

func TestKnownHeader_IsNotReadAgain(t *testing.T) {
	raw := compact(`{"alg":"HS256","kid":"`+strings.Repeat("k", 1000)+`"}`, `{}`)
	first, problem := token.Parse(raw, token.Limits{})
	if problem != nil {
		t.Fatal(problem)
	}
	known := new(token.KnownHeader)
	known.Remember(first)
	second, _ := token.Parse(raw, token.Limits{Known: known})
	third, _ := token.Parse(raw, token.Limits{Known: known})
	if unsafe.StringData(second.Header.Kid) != unsafe.StringData(third.Header.Kid) {
		t.Error("the header was decoded again")
	}
}

// What is remembered outlives the request in whose buffer the token lay.
func TestKnownHeader_OutlivesTheToken(t *testing.T) {
	raw := compact(`{"alg":"HS256","kid":"a"}`, `{}`)
	buffer := []byte(raw)
	parsed, problem := token.Parse(unsafe.String(&buffer[0], len(buffer)), token.Limits{})
	if problem != nil {
		t.Fatal(problem)
	}
	known := new(token.KnownHeader)
	known.Remember(parsed)
	copy(buffer, compact(`{"alg":"none","kid":"b"}`, `{}`))
	for header, want := range map[string]string{`{"alg":"HS256","kid":"a"}`: "HS256", `{"alg":"none","kid":"b"}`: "none"} {
		again, problem := token.Parse(compact(header, `{}`), token.Limits{Known: known})
		if problem != nil || again.Header.Alg != want {
			t.Errorf("%s: %+v, %v", header, again, problem)
		}
	}
}
