package audit

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// counters is what the pipeline counts.
type counters struct {
	recorded    atomic.Int64 // written to the spill
	storedRows  atomic.Int64
	shed        atomic.Int64
	storeErrors atomic.Int64
	waiting     atomic.Uint64 // K of the oldest row that the store is to take; 0 where it has all
}

var (
	recordedDesc    = prometheus.NewDesc("usher_audit_events_total", "Events that were recorded.", nil, nil)
	storedDesc      = prometheus.NewDesc("usher_audit_stored_events_total", "Events that the audit store has taken.", nil, nil)
	shedDesc        = prometheus.NewDesc("usher_audit_shed_events_total", "Events that were lost because neither memory nor disk had room.", nil, nil)
	storeErrorsDesc = prometheus.NewDesc("usher_audit_store_errors_total", "Failed attempts to reach the audit store.", nil, nil)
	queueDesc       = prometheus.NewDesc("usher_audit_queue_bytes", "Bytes of events in memory, on their way to the spill.", nil, nil)
	spillDesc       = prometheus.NewDesc("usher_audit_spill_bytes", "Bytes of the spill on disk.", nil, nil)
	spillMaxDesc    = prometheus.NewDesc("usher_audit_spill_max_bytes", "Bytes the spill may take, audit.spill_max.", nil, nil)
	lagDesc         = prometheus.NewDesc("usher_audit_store_lag_seconds", "Age of the oldest event that the audit store does not have yet.", nil, nil)
	sinkShedDesc    = prometheus.NewDesc("usher_audit_sink_shed_events_total", "Events that the sink did not take: too slow, gone or full.", nil, nil)
)

// Stored is how many events this process has brought to the store.
func (p *Pipeline) Stored() int64 { return p.storedRows.Load() }

// Describe names the pipeline's metrics.
func (p *Pipeline) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(p, ch) }

// Collect reads them.
func (p *Pipeline) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v int64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	counter(recordedDesc, p.recorded.Load())
	counter(storedDesc, p.storedRows.Load())
	counter(shedDesc, p.shed.Load())
	counter(storeErrorsDesc, p.storeErrors.Load())
	var sinkShed int64
	if p.opt.Sink != nil {
		sinkShed = p.opt.Sink.shed.Load()
	}
	counter(sinkShedDesc, sinkShed)
	gauge(queueDesc, float64(p.ring.waiting()))
	gauge(spillDesc, float64(p.spill.bytes()))
	gauge(spillMaxDesc, float64(p.opt.SpillMax))
	gauge(lagDesc, p.lag().Seconds())
}

// lag is the age of the oldest row that waits for the store.
func (p *Pipeline) lag() time.Duration {
	k := p.waiting.Load()
	if k == 0 {
		return 0
	}
	return max(0, p.opt.Now().Sub(time.UnixMilli(MillisOf(k))))
}
