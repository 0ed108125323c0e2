package report

import (
	"fmt"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/peer"
)

// goal is what a figure shall be at each of Sizes.
type goal struct {
	what string
	// atLeast says that limits are the least, else they are the greatest.
	atLeast  bool
	limits   [3]float64
	decimals int
	measure  func(size int) Spread
}

// goals returns what the gateway shall reach.
func (r *Results) goals() []goal {
	var goals []goal
	for _, order := range []fleet.Order{fleet.Declared, fleet.Shuffled} {
		decode := func(by string) func(int) []float64 {
			return func(size int) []float64 { return r.micro("Decode/%d/%s/%s", size, order, by) }
		}
		ours, protojson, valid := decode(Gateway), decode("protojson"), decode("valid")
		goals = append(
			goals,
			goal{
				what: fmt.Sprintf("decoder, %s order: times faster than protojson", order), atLeast: true,
				limits: [3]float64{18, 20, 20}, decimals: 1,
				measure: func(size int) Spread { return ratio(protojson(size), ours(size)) },
			},
			goal{
				what: fmt.Sprintf("decoder, %s order: time in times of encoding/json.Valid", order), limits: [3]float64{0.5, 0.45, 0.45}, decimals: 2,
				measure: func(size int) Spread { return ratio(ours(size), valid(size)) },
			},
			goal{
				what:    fmt.Sprintf("decoder, %s order: allocations", order),
				measure: func(size int) Spread { return spread(r.allocs("Decode/%d/%s/%s", size, order, Gateway)) },
			},
		)
	}
	cpu := func(server string) func(int) []float64 {
		return func(size int) []float64 { return r.cpu(server, size) }
	}
	ours := cpu(Gateway)
	return append(
		goals,
		goal{
			what: "gateway: CPU in times of floor C", limits: [3]float64{1.25, 2, 5}, decimals: 2,
			measure: func(size int) Spread { return ratio(ours(size), r.cpu(peer.FloorC, size)) },
		},
		goal{
			what: "gateway: times less CPU than the protojson gateway", atLeast: true, limits: [3]float64{2, 9, 13}, decimals: 1,
			measure: func(size int) Spread { return ratio(r.cpu(peer.Protojson, size), ours(size)) },
		},
		goal{
			what: "gateway: times less CPU than vanguard", atLeast: true, limits: [3]float64{3.5, 9, 14}, decimals: 1,
			measure: func(size int) Spread { return ratio(r.cpu(peer.Vanguard, size), ours(size)) },
		},
		goal{
			what: "gateway: µs added to floor C's p50 at concurrency 1", limits: [3]float64{50, 250, 2500},
			measure: r.addedLatency,
		},
	)
}

func (g goal) cell(i, size int) string {
	return judged(g.measure(size), g.decimals, g.atLeast, g.limits[i])
}

// judged returns what was measured beside its limit.
func judged(measured Spread, decimals int, atLeast bool, limit float64) string {
	sign, met := "≤", measured.Median <= limit
	if atLeast {
		sign, met = "≥", measured.Median >= limit
	}
	verdict := "met"
	switch {
	case measured.Count == 0:
		verdict = "not measured"
	case !met:
		verdict = "**missed**"
	}
	return fmt.Sprintf("%s; %s %g: %s", measured.text(decimals), sign, limit, verdict)
}

// addedLatency returns by how many microseconds the gateway's median answer is later than that
// of floor C, at low concurrency.
func (r *Results) addedLatency(size int) Spread {
	return spread(each(
		r.samples(Gateway, size, fleet.Declared, Low, p50Micros),
		r.samples(peer.FloorC, size, fleet.Declared, Low, p50Micros),
		func(ours, floor float64) float64 { return ours - floor },
	))
}

// growth returns how much dearer a byte is to decode in the largest body than in the smallest.
func (r *Results) growth() Spread {
	sizes := AllSizes()
	smallest, largest := sizes[0], sizes[len(sizes)-1]
	return ratio(r.byteNanos(largest), r.byteNanos(smallest))
}

// byteNanos returns what a byte of a body costs to decode.
func (r *Results) byteNanos(size int) []float64 {
	bytes := float64(len(fleet.Body{Bytes: size, Order: fleet.Declared}.JSON()))
	return scaled(r.micro("Decode/%d/%s/%s", size, fleet.Declared, Gateway), 1/bytes)
}

func scaled(values []float64, by float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = v * by
	}
	return out
}

// methods returns how many methods a gateway has that serves them all.
func (r *Results) methods() int {
	most := 0
	for name := range r.Micro {
		var n int
		if _, err := fmt.Sscanf(name, "Methods/%d", &n); err == nil {
			most = max(most, n)
		}
	}
	return most
}
