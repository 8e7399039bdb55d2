package server

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/puzpuzpuz/xsync/v4"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/reason"
)

// metrics are what the verify path counts. Every label has a closed set of values, so that no token can make new series:
// stages, verdicts and reasons are ours, issuers are those of the config.
type metrics struct {
	decisions *prometheus.CounterVec
	latency   *prometheus.HistogramVec
	// resolved has the series that have been counted in, since looking for one by its labels takes longer than a verdict.
	resolved  *xsync.Map[outcomeOf, series]
	bad       *prometheus.CounterVec
	ejections *prometheus.CounterVec
	followers prometheus.Gauge
	panics    prometheus.Counter
}

// outcomeOf names what is counted together.
type outcomeOf struct {
	stage  decide.Stage
	reason reason.Code
	issuer string
}

type series struct {
	decisions prometheus.Counter
	latency   prometheus.Observer
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		resolved: xsync.NewMap[outcomeOf, series](),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_decisions_total", Help: "Decisions by stage, verdict, reason and issuer block.",
		}, []string{"stage", "verdict", "reason", "issuer"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "usher_decision_duration_seconds", Help: "Time from question to verdict, by stage.",
			Buckets: []float64{.00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05, .25, 1},
		}, []string{"stage"}),
		bad: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_bad_tokens_total", Help: "Tokens whose signature was not proven, by the issuer block that they name.",
		}, []string{"issuer"}),
		ejections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_ejections_total", Help: "Sessions that were to be put out, by what became of it.",
		}, []string{"outcome"}),
		followers: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "usher_feed_followers", Help: "Prosodys that follow the revocation feed.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_handler_panics_total", Help: "Requests on which a handler broke; each is a fault of usher.",
		}),
	}
	r.MustRegister(m.decisions, m.latency, m.bad, m.ejections, m.followers, m.panics)
	return m
}

// begin has at 0 the series in which a first one is an alarm: where a series comes into being with it, Prometheus sees no
// increase.
func (m *metrics) begin(c *config.Config) {
	for _, outcome := range outcomes {
		m.ejections.WithLabelValues(outcome)
	}
	for _, p := range c.Profiles {
		for _, i := range p.Issuers {
			for _, stage := range []decide.Stage{decide.Connect, decide.Create, decide.Join, decide.Recheck} {
				m.decisions.WithLabelValues(string(stage), string(audit.Deny), string(reason.TokenRevoked), i.Iss)
			}
			m.decisions.WithLabelValues(string(decide.Connect), string(audit.Deny), string(reason.TokenReplayed), i.Iss)
		}
	}
}

// decided counts one verdict. An issuer is named only where the signature has proven it: a forger must not move the
// figures of the issuer that he names.
func (m *metrics) decided(q *decide.Question, v *decide.Verdict, took time.Duration) {
	what := outcomeOf{stage: q.Stage}
	if v.Problem != nil {
		what.reason = v.Problem.Code
	}
	if v.Proven != nil {
		what.issuer = v.IssuerBlock
	}
	s, ok := m.resolved.Load(what)
	if !ok {
		s = m.resolve(what)
	}
	s.decisions.Inc()
	s.latency.Observe(took.Seconds())
}

// resolve finds the series of an outcome, and remembers them. The stage lies in the question's buffer until here.
func (m *metrics) resolve(what outcomeOf) series {
	what.stage = decide.Stage(strings.Clone(string(what.stage)))
	verdict := audit.Allow
	if what.reason != reason.None {
		verdict = verdictOf(what.reason)
	}
	s := series{
		decisions: m.decisions.WithLabelValues(string(what.stage), string(verdict), string(what.reason), what.issuer),
		latency:   m.latency.WithLabelValues(string(what.stage)),
	}
	m.resolved.Store(what, s)
	return s
}

// serveMetrics is GET /metrics in Prometheus' text format.
func (s *Server) serveMetrics(c *fiber.Ctx) error {
	return adaptor.HTTPHandler(promhttp.HandlerFor(s.opt.Registry, promhttp.HandlerOpts{}))(c)
}
