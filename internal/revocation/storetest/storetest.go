// Package storetest is the contract of a revocation store, as tests: what holds for one holds for all.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/revocation"
)

// KeepChanges is how many changes the stores under test keep: few, so that trimming is seen.
const KeepChanges = 300

// Backing is one empty store behind the handles that nodes open on it.
type Backing struct {
	// Open gives another handle, as another node has it.
	Open func(t *testing.T) revocation.Store
	// Empty takes everything out of the store, as a restart without its data would. Nil where that cannot happen.
	Empty func(t *testing.T)
	// Beats: heartbeats come back through Changes.
	Beats bool
}

// Run holds a kind of store to its contract. Each test gets an empty one.
func Run(t *testing.T, backing func(t *testing.T) Backing) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Backing)
	}{
		{"RevokingIsKnownToEveryHandle", revoking},
		{"RevokingTwiceKeepsTheLaterTimes", revokingTwice},
		{"RevokingTwiceKeepsNoTimeOverAnyTime", revokingWithout},
		{"RevokingAgainExplainsWhatHadNoReason", explaining},
		{"LiftingTakesBack", lifting},
		{"ListIsNewestFirstInPages", listing},
		{"ListFilters", filtering},
		{"LookupGivesWhatIsRevoked", lookingUp},
		{"WhatExpiresIsGoneAndCanBeRevokedAnew", expiring},
		{"WhatExpiredIsKeptForADayAndMeansNothing", keeping},
		{"StateGivesOneIdentityToAll", identity},
		{"SnapshotGivesAll", snapshot},
		{"ChangesAreDenseAndInOrder", changes},
		{"ChangesWakeWhoWaits", waking},
		{"ChangesThatAreGoneAreSeenToBe", trimming},
		{"ManyWritersLoseNothing", writers},
		{"RestoreSkipsWhatIsThereOrWasLifted", restoring},
		{"RestoreGivesWhatIsThereTheLaterTimes", widening},
		{"ClaimHasOneWinner", claiming},
		{"ClaimIsHandedToWhoResumes", resuming},
		{"ClaimEndsWithItsToken", claimEnds},
		{"LedgerDeniesWhatAnotherNodeRevoked", ledgerFollows},
		{"LedgerDeniesAtOnceWhatItRevokedItself", revokedHere},
		{"LedgerLetsInWhatWasLiftedBeforeItsAnswerCame", liftedMeanwhile},
		{"LedgerHasNoGapBetweenSnapshotAndStream", noGap},
		{"LedgerLoadsAnewWhereChangesAreGone", behind},
		{"LedgerAsksTheStoreWhenStrict", strict},
		{"LedgerDeniesWhatAnEmptiedStoreLost", emptied},
		{"FeedMissesNothing", feeding},
		{"LedgerPutsBackWhatAnEmptiedStoreLost", puttingBack},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, backing(t)) })
	}
}

// patience is long, for machines that do much else besides.
const patience = 30 * time.Second

func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// Prepared is a revocation as stores take it.
func Prepared(t testing.TB, r revocation.Revocation) revocation.Revocation {
	t.Helper()
	p, err := revocation.Prepare(r, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// JTI is a revocation of one token id.
func JTI(t testing.TB, value string) revocation.Revocation {
	t.Helper()
	return Prepared(t, revocation.Revocation{Selector: revocation.SelectJTI, Issuer: "app", Value: value, Reason: "leaked", Actor: "cred:soc"})
}

func revoke(t testing.TB, s revocation.Store, rs ...revocation.Revocation) revocation.Written {
	t.Helper()
	w, err := s.Revoke(context.Background(), rs)
	if err != nil {
		t.Fatalf("revoke: %v", err)
	}
	if len(w.Outcomes) != len(rs) {
		t.Fatalf("%d revocations had %d outcomes", len(rs), len(w.Outcomes))
	}
	return w
}

// Eventually waits for what follows from a change elsewhere.
func Eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	Within(t, patience, what, is)
}

// Within is Eventually for what takes its time, or must not.
func Within(t testing.TB, limit time.Duration, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(time.Millisecond)
	}
}
