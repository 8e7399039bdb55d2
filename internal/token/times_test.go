package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
)

func times(t testing.TB, payload string, mode token.Timestamps) (token.Times, *reason.Problem) {
	t.Helper()
	return mustParse(t, payload).Claims.Times(mode)
}

func TestTimes_UnitOfEachClaimIsItsOwn(t *testing.T) {
	for _, c := range []struct {
		text string
		mode token.Timestamps
		want int64
	}{
		{"1790000000", token.Auto, 1790000000000},
		{"1790000000", "", 1790000000000},
		{"1790000000000", token.Auto, 1790000000000},
		{"1790000000.25", token.Auto, 1790000000250},
		{"1790000000123.4", token.Auto, 1790000000123},
		{"1.79e9", token.Auto, 1790000000000},
		{"1.79E+12", token.Auto, 1790000000000},
		{"99999999999", token.Auto, 99999999999000},
		{"99999999999.999", token.Auto, 99999999999999},
		{"100000000000", token.Auto, 100000000000},
		{"1e11", token.Auto, 100000000000},
		{"1", token.Auto, 1000},
		{"253402300799999", token.Auto, 253402300799999},
		{"100000000000", token.Seconds, 100000000000000},
		{"253402300799", token.Seconds, 253402300799000},
		{"1790000000", token.Milliseconds, 1790000000},
		{"1", token.Milliseconds, 1},
	} {
		got, problem := times(t, `{"iat":`+c.text+`,"nbf":`+c.text+`,"exp":`+c.text+`}`, c.mode)
		if want := (token.Times{IssuedAt: c.want, NotBefore: c.want, Expires: c.want}); problem != nil || got != want {
			t.Errorf("%s in %q: %v, %v, want %d", c.text, c.mode, got, problem, c.want)
		}
	}
	got, problem := times(t, `{"iat":1790000000,"exp":1790003600000}`, token.Auto)
	if want := (token.Times{IssuedAt: 1790000000000, Expires: 1790003600000}); problem != nil || got != want {
		t.Errorf("mixed units: %v, %v", got, problem)
	}
}

func TestTimes_WhatNoClockShowsIsMalformed(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"-1", "negative"}, {"-0", "negative"}, {"-1e300", "negative"}, {"-0.0001", "negative"},
		{"1e308", "year 9999"}, {"1e309", "finite"}, {"1e99999", "finite"}, {strings.Repeat("9", 400), "finite"},
		{strings.Repeat("9", 300), "year 9999"}, {"253402300800000", "year 9999"}, {"253402300799999.9", "year 9999"},
	} {
		for _, claim := range []string{"iat", "nbf", "exp"} {
			for _, mode := range []token.Timestamps{token.Auto, token.Seconds, token.Milliseconds} {
				_, problem := times(t, `{"`+claim+`":`+c.text+`}`, mode)
				if problem == nil || problem.Code != reason.TokenMalformed ||
					!strings.HasPrefix(problem.Detail, claim+" ") || !strings.Contains(problem.Detail, c.says) {
					t.Errorf("%s %.20s in %s: %v, want %q", claim, c.text, mode, problem, c.says)
				}
			}
		}
	}
	if _, problem := times(t, `{"exp":253402300800}`, token.Seconds); problem == nil {
		t.Error("the year 10000 in seconds is taken")
	}
}

func TestTimes_ZeroIsAbsentSaveInExp(t *testing.T) {
	for _, zero := range []string{"0", "0.0", "0e5", "1e-300", "0.0001"} {
		got, problem := times(t, `{"iat":`+zero+`,"nbf":`+zero+`}`, token.Auto)
		if problem != nil || got != (token.Times{}) {
			t.Errorf("%s: %v, %v", zero, got, problem)
		}
		if _, problem := times(t, `{"exp":`+zero+`}`, token.Auto); problem == nil || problem.Code != reason.TokenMalformed {
			t.Errorf("exp %s: %v", zero, problem)
		}
	}
	if got, problem := times(t, `{}`, token.Auto); problem != nil || got != (token.Times{}) {
		t.Errorf("none: %v, %v", got, problem)
	}
}

func TestTimeRules_JudgeInTheOrderOfTheReasons(t *testing.T) {
	now := noon
	ms := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
	strictly := token.TimeRules{Leeway: 10 * time.Second, RequireExp: true}
	lax := token.TimeRules{}
	short := token.TimeRules{RequireExp: true, MaxLifetime: time.Hour}
	shortLax := token.TimeRules{MaxLifetime: time.Hour}
	for _, c := range []struct {
		name  string
		rules token.TimeRules
		times token.Times
		want  reason.Code
	}{
		{"valid", strictly, token.Times{IssuedAt: ms(0), NotBefore: ms(0), Expires: ms(time.Hour)}, reason.None},
		{"exp alone", strictly, token.Times{Expires: ms(time.Hour)}, reason.None},
		{"expired within the leeway", strictly, token.Times{Expires: ms(-10*time.Second + time.Millisecond)}, reason.None},
		{"expired at the leeway", strictly, token.Times{Expires: ms(-10 * time.Second)}, reason.TokenExpired},
		{"expired without leeway, at exp", lax, token.Times{Expires: ms(0)}, reason.TokenExpired},
		{"a millisecond before exp", lax, token.Times{Expires: ms(time.Millisecond)}, reason.None},
		{"nbf at the leeway", strictly, token.Times{NotBefore: ms(10 * time.Second), Expires: ms(time.Hour)}, reason.None},
		{"nbf past the leeway", strictly, token.Times{NotBefore: ms(10*time.Second + time.Millisecond), Expires: ms(time.Hour)}, reason.TokenNotYetValid},
		{"iat at the leeway", strictly, token.Times{IssuedAt: ms(10 * time.Second), Expires: ms(time.Hour)}, reason.None},
		{"iat past the leeway", strictly, token.Times{IssuedAt: ms(11 * time.Second), Expires: ms(time.Hour)}, reason.TokenNotYetValid},
		{"no exp", strictly, token.Times{}, reason.ClaimMissing},
		{"no exp where none is asked for", lax, token.Times{}, reason.None},
		{"lifetime at the limit", short, token.Times{IssuedAt: ms(0), Expires: ms(time.Hour)}, reason.None},
		{"lifetime past the limit", short, token.Times{IssuedAt: ms(0), Expires: ms(time.Hour + time.Millisecond)}, reason.LifetimeTooLong},
		{"lifetime without iat", short, token.Times{Expires: ms(time.Minute)}, reason.ClaimMissing},
		{"lifetime without exp", shortLax, token.Times{IssuedAt: ms(0)}, reason.ClaimMissing},
		{"lifetime of 8,000 years", short, token.Times{IssuedAt: 1, Expires: 253402300799999}, reason.LifetimeTooLong},
		{"expired and not begun", strictly, token.Times{NotBefore: ms(time.Hour), Expires: ms(-time.Hour)}, reason.TokenExpired},
		{"not begun and too long", short, token.Times{IssuedAt: ms(time.Hour), Expires: ms(9 * time.Hour)}, reason.TokenNotYetValid},
		{"not begun and no exp", strictly, token.Times{NotBefore: ms(time.Hour)}, reason.TokenNotYetValid},
	} {
		problem := c.rules.Check(c.times, now)
		if got := codeOf(problem); got != c.want {
			t.Errorf("%s: %v, want %q", c.name, problem, c.want)
		}
	}
}

func TestTimeRules_DetailSaysWhichClaimAndHowFarOff(t *testing.T) {
	rules := token.TimeRules{Leeway: 10 * time.Second, RequireExp: true, MaxLifetime: time.Hour}
	for _, c := range []struct {
		times token.Times
		want  string
	}{
		{token.Times{Expires: noon.Add(-90 * time.Minute).UnixMilli()}, "exp is 2026-09-21T12:43:20Z, 1h30m0s before now (leeway 10s)"},
		{token.Times{NotBefore: noon.Add(time.Hour).UnixMilli()}, "nbf is 2026-09-21T15:13:20Z, 1h0m0s after now (leeway 10s)"},
		{token.Times{IssuedAt: noon.UnixMilli(), Expires: noon.Add(2 * time.Hour).UnixMilli()}, "exp is 2h0m0s after iat, and 1h0m0s are allowed"},
		{token.Times{}, "the token has no exp"},
	} {
		if problem := rules.Check(c.times, noon); problem == nil || problem.Detail != c.want {
			t.Errorf("got %v, want %q", problem, c.want)
		}
	}
}

func codeOf(problem *reason.Problem) reason.Code {
	if problem == nil {
		return reason.None
	}
	return problem.Code
}
