package fetch

import (
	"net/http"
	"testing"
	"time"
)

func TestFreshness_ReadsWhatCanBeReadAndPassesOverTheRest(t *testing.T) {
	for header, want := range map[string]struct {
		fresh time.Duration
		said  bool
	}{
		"":                                   {0, false},
		"=":                                  {0, false},
		"max-age=":                           {0, false},
		"max-age":                            {0, false},
		"a=,b":                               {0, false},
		",,,":                                {0, false},
		"max-age=-1":                         {0, false},
		"max-age=1.5":                        {0, false},
		"max-age=soon":                       {0, false},
		"max-age=0":                          {0, true},
		"max-age=300":                        {300 * time.Second, true},
		`public, Max-Age="300", immutable`:   {300 * time.Second, true},
		"=,max-age=,max-age=60":              {60 * time.Second, true},
		"max-age=600, max-age=60":            {60 * time.Second, true},
		"max-age=99999999999999999999999999": {(1<<31 - 1) * time.Second, true},
		"no-store":                           {0, true},
		"max-age=600, no-cache":              {0, true},
		"s-maxage=600":                       {0, false},
		"max-age=600;no-cache":               {0, false},
	} {
		fresh, said := Freshness(http.Header{"Cache-Control": {header}})
		if fresh != want.fresh || said != want.said {
			t.Errorf("%q: got %s, %t", header, fresh, said)
		}
	}
}

func TestFreshness_TakesOffWhatACacheBetweenHasKept(t *testing.T) {
	for age, want := range map[string]time.Duration{"40": 60 * time.Second, "": 100 * time.Second, "-7": 100 * time.Second, "1000": 0} {
		if got, _ := Freshness(http.Header{"Cache-Control": {"max-age=100"}, "Age": {age}}); got != want {
			t.Errorf("Age %q: got %s", age, got)
		}
	}
}

func TestFreshness_ReadsAllLines(t *testing.T) {
	if got, _ := Freshness(http.Header{"Cache-Control": {"=", "public", "max-age=7"}}); got != 7*time.Second {
		t.Errorf("got %s", got)
	}
}

func FuzzFreshness(f *testing.F) {
	for _, seed := range []string{"=", "max-age=", "a=,b", "max-age=0", `max-age="60", no-cache`, "max-age=18446744073709551616"} {
		f.Add(seed, "0")
	}
	f.Fuzz(func(t *testing.T, header, age string) {
		fresh, said := Freshness(http.Header{"Cache-Control": {header}, "Age": {age}})
		if fresh < 0 || fresh > (1<<31-1)*time.Second || !said && fresh != 0 {
			t.Fatalf("got %s, %t", fresh, said)
		}
	})
}
