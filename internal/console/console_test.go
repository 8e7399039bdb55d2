package console_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/console"
	"github.com/usher-im/usher/internal/reason"
)

func page(t *testing.T) console.Page {
	t.Helper()
	p, err := console.New()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNew_ThePolicyNamesTheScriptAndTheStyleThatAreInside(t *testing.T) {
	p := page(t)
	for _, element := range []string{"style", "script"} {
		inside := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllSubmatch(p.HTML, -1)
		if len(inside) != 1 {
			t.Fatalf("the page has %d elements %s", len(inside), element)
		}
		sum := sha256.Sum256(inside[0][1])
		if want := element + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(p.Policy, want) {
			t.Errorf("the policy %s lacks %s", p.Policy, want)
		}
	}
}

func TestNew_ThePageLoadsNothingFromElsewhereAndMakesNoMarkupOfTexts(t *testing.T) {
	html := string(page(t).HTML)
	for _, bad := range []string{"http://", "https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "javascript:", " style=", " onclick="} {
		if strings.Contains(html, bad) {
			t.Errorf("the page has %q in it", bad)
		}
	}
}

func TestNew_ThePageKnowsEveryReason(t *testing.T) {
	inside := regexp.MustCompile(`(?s)id="reasons">(.*?)</script>`).FindSubmatch(page(t).HTML)
	if inside == nil {
		t.Fatal("the page has no reasons")
	}
	var told map[reason.Code]struct{ Message, Remedy, Check string }
	if err := json.Unmarshal(inside[1], &told); err != nil {
		t.Fatal(err)
	}
	for _, i := range reason.All() {
		if got := told[i.Code]; got.Message != i.Message || got.Remedy != i.Remedy || got.Check != i.Code.Check() {
			t.Errorf("%s: %+v", i.Code, got)
		}
	}
}
