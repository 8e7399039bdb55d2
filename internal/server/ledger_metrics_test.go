package server_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/sqlitestore"
	"github.com/usher-im/usher/internal/revocation/storetest"
	"github.com/usher-im/usher/internal/server"
)

func TestLedgerMetrics_SayWhatIsThereAndAreWellFormed(t *testing.T) {
	store, err := sqlitestore.Open(t.Context(), t.TempDir()+"/revocations.db", sqlitestore.Options{})
	must(t, err)
	l := storetest.Ledger(t, store)
	if _, err := l.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, "a"), storetest.JTI(t, "b")}); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(server.NewLedgerMetrics(l))
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	found, err := registry.Gather()
	must(t, err)
	values := map[string]float64{}
	for _, family := range found {
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			if len(metric.GetLabel()) > 0 {
				name += "/" + metric.GetLabel()[0].GetValue()
			}
			values[name] = metric.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"usher_revocation_entries/jti": 2, "usher_revocation_entries/user": 0, "usher_revocation_index_loaded": 1, "usher_revocation_index_lag_changes": 0, "usher_revocation_store_durable": 1,
	} {
		if got, there := values[name]; !there || got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}
