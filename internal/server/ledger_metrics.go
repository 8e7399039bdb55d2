package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/usher-im/usher/internal/revocation"
)

// LedgerMetrics shows how the revocations stand: how many, how old what decisions look at is, and what went wrong.
type LedgerMetrics struct{ ledger *revocation.Ledger }

// NewLedgerMetrics shows a ledger.
func NewLedgerMetrics(l *revocation.Ledger) LedgerMetrics { return LedgerMetrics{l} }

type ledgerFigure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(revocation.Stats) float64
}

func figure(name, help string, kind prometheus.ValueType, value func(revocation.Stats) float64) ledgerFigure {
	return ledgerFigure{prometheus.NewDesc("usher_revocation_"+name, help, nil, nil), kind, value}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

var propagationTime = prometheus.NewDesc("usher_revocation_propagation_seconds",
	"Time that a heartbeat takes through Redis and back to this node: how long a revocation is on its way.", nil, nil)

var ledgerEntries = prometheus.NewDesc("usher_revocation_entries", "Revocations in the index, by selector.", []string{"selector"}, nil)

var ledgerFigures = []ledgerFigure{
	figure("index_age_seconds", "How long ago the index was last known to hold all that the store held.", prometheus.GaugeValue,
		func(s revocation.Stats) float64 { return s.Age.Seconds() }),
	figure("index_lag_changes", "Changes that the store has and the index does not have yet.", prometheus.GaugeValue,
		func(s revocation.Stats) float64 { return float64(s.StoreSeq - s.Seq) }),
	figure("index_loaded", "1 once the index has been loaded; no decision is made before.", prometheus.GaugeValue,
		func(s revocation.Stats) float64 { return truth(s.Loaded) }),
	figure("store_durable", "1 where the store does not lose in a crash what it took (Redis: the append-only log is on).", prometheus.GaugeValue,
		func(s revocation.Stats) float64 { return truth(s.Durable) }),
	figure("store_evicts", "1 where the store would throw entries away when its memory is full.", prometheus.GaugeValue,
		func(s revocation.Stats) float64 { return truth(s.Evicts) }),
	figure("store_replicas", "Replicas that follow the store now.", prometheus.GaugeValue,
		func(s revocation.Stats) float64 { return float64(s.Replicas) }),
	figure("loads_total", "Times that the whole index was loaded.", prometheus.CounterValue,
		func(s revocation.Stats) float64 { return float64(s.Loads) }),
	figure("gaps_total", "Loads because changes were missing.", prometheus.CounterValue,
		func(s revocation.Stats) float64 { return float64(s.Gaps) }),
	figure("put_back_total", "Entries that this node put back into a store that had lost them.", prometheus.CounterValue,
		func(s revocation.Stats) float64 { return float64(s.PutBack) }),
	figure("follow_failures_total", "Times that following the store broke off.", prometheus.CounterValue,
		func(s revocation.Stats) float64 { return float64(s.Failures) }),
	figure("heartbeats_missed_total", "Heartbeats that the store did not answer.", prometheus.CounterValue,
		func(s revocation.Stats) float64 { return float64(s.Missed) }),
	figure("store_asked_total", "Decisions that asked the store itself (strict, or past max_staleness).", prometheus.CounterValue,
		func(s revocation.Stats) float64 { return float64(s.Asked) }),
	figure("unavailable_total", "Decisions denied because neither index nor store could be believed.", prometheus.CounterValue,
		func(s revocation.Stats) float64 { return float64(s.Unavailable) }),
	figure("unchecked_total", "Tokens let in unchecked (on_unavailable: allow).", prometheus.CounterValue,
		func(s revocation.Stats) float64 { return float64(s.Unchecked) }),
}

// Describe implements prometheus.Collector.
func (m LedgerMetrics) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, to) }

// Collect implements prometheus.Collector.
func (m LedgerMetrics) Collect(to chan<- prometheus.Metric) {
	s := m.ledger.Stats()
	to <- prometheus.MustNewConstHistogram(propagationTime, s.Propagation.Count, s.Propagation.Sum.Seconds(), s.Propagation.AtMost)
	for _, selector := range revocation.Selectors() {
		to <- prometheus.MustNewConstMetric(ledgerEntries, prometheus.GaugeValue, float64(s.Entries[selector]), string(selector))
	}
	for _, f := range ledgerFigures {
		to <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(s))
	}
}
