package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestReport_ARowIsMetByItsMedian(t *testing.T) {
	var r Report
	r.Add(Row{What: "within", Unit: "×", Rounds: []float64{1.3, 1.1, 1.15}, Target: Most(1.2)})
	r.Add(Row{What: "beyond", Unit: "%", Rounds: []float64{94, 90, 99, 92}, Target: Least(95)})
	r.Add(Row{What: "shown", Unit: "µs", Rounds: []float64{7}})
	r.Add(Row{What: "never measured"})
	if len(r.Rows) != 3 || !*r.Rows[0].Met || *r.Rows[1].Met || r.Rows[2].Met != nil || r.Rows[1].Median != 93 {
		t.Errorf("%+v", r.Rows)
	}
	var out bytes.Buffer
	r.Print(&out)
	for _, want := range []string{"1.15×", "≤ 1.20×", "NOT MET", "7 µs"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestRatios_AreTakenRoundByRound(t *testing.T) {
	if got := Ratios([]float64{2, 9, 5}, []float64{1, 3, 0}); !slices.Equal(got, []float64{2, 3}) {
		t.Errorf("got %v", got)
	}
}
