package server

import (
	"fmt"
	"testing"
	"time"
)

func TestRepeats_MemoryIsBoundedWhateverComes(t *testing.T) {
	r, now := newRepeats(time.Minute), time.Now()
	r.most = 10
	for n := range 100_000 {
		if _, seen := r.remember("", fmt.Sprint(n), nil, now); seen != fresh {
			t.Fatalf("question %d was taken for one that came before", n)
		}
	}
	held := 0
	for n := range r.shards {
		held += r.shards[n].young.used + r.shards[n].old.used
	}
	if held > 2*10*shards {
		t.Errorf("%d questions are remembered, and may be %d", held, 2*10*shards)
	}
}

func TestRepeats_ARepeatKeepsItsDecisionForAMinute(t *testing.T) {
	r, now := newRepeats(time.Minute), time.Now()
	ask := func(caller, body string, after time.Duration) (string, outcome) {
		return r.remember(caller, "1", []byte(body), now.Add(after))
	}
	first, _ := ask("cred:prosody", "a", 0)
	if id, seen := ask("cred:prosody", "a", time.Second); seen != repeated || id != first {
		t.Errorf("a repeat was %d and got decision %s, not %s", seen, id, first)
	}
	if _, seen := ask("cred:prosody", "b", time.Second); seen != conflicting {
		t.Error("another body under the same id went unnoticed")
	}
	if _, seen := ask("cred:other", "b", time.Second); seen != fresh {
		t.Error("the id of another caller was taken for one's own")
	}
	if _, seen := ask("cred:prosody", "a", time.Minute-time.Millisecond); seen != repeated {
		t.Error("it was forgotten within the minute")
	}
	if _, seen := ask("cred:prosody", "a", 4*time.Minute); seen != fresh {
		t.Error("it was remembered for longer than two minutes")
	}
}

// Questions are timed before they have a shard's lock, so that one may come a little late into a younger generation.
func TestRepeats_AClockThatIsALittleBehindForgetsNothing(t *testing.T) {
	r, now := newRepeats(time.Minute), time.Now()
	everyShard := func(name string, after time.Duration) {
		for n := range 100 * shards {
			r.remember("", fmt.Sprint(name, n), nil, now.Add(after))
		}
	}
	everyShard("first", 0)
	first, _ := r.remember("", "1", nil, now.Add(time.Minute-time.Millisecond))
	everyShard("turn", time.Minute)
	for n := range 2 {
		everyShard(fmt.Sprint("late", n), time.Minute-2*time.Millisecond)
	}
	if id, seen := r.remember("", "1", nil, now.Add(time.Minute+time.Millisecond)); seen != repeated || id != first {
		t.Errorf("a question of 2 ms ago was %d and got %s, not %s", seen, id, first)
	}
	late, _ := r.remember("", "2", nil, now.Add(time.Minute-2*time.Millisecond))
	if id, seen := r.remember("", "2", nil, now.Add(time.Minute)); seen != repeated || id != late {
		t.Errorf("a late question was %d and got %s, not %s", seen, id, late)
	}
	if _, seen := r.remember("", "1", nil, now.Add(-3*time.Minute)); seen != fresh {
		t.Error("a clock that was set back by minutes did not begin anew")
	}
}

func TestRepeats_ManyAreToldApart(t *testing.T) {
	r, now := newRepeats(time.Minute), time.Now()
	const many = 20_000
	var first [many]string
	for n := range many {
		first[n], _ = r.remember("", fmt.Sprint(n), []byte("a"), now)
	}
	for n := range many {
		if id, seen := r.remember("", fmt.Sprint(n), []byte("a"), now); seen != repeated || id != first[n] {
			t.Fatalf("question %d of %d was %d and got %s, not %s", n, many, seen, id, first[n])
		}
	}
}
