package report

import (
	"fmt"
	"slices"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/peer"
)

// goal is the limit of a figure at each of Sizes.
type goal struct {
	what string
	// atLeast is whether the figure must be at least the limit; otherwise it must be at most that.
	atLeast  bool
	limits   [3]float64
	decimals int
	measure  func(size int) Spread
}

// decoderGoals returns what the decoder shall reach at each of Sizes.
func (r *Results) decoderGoals() []goal {
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
	return goals
}

// gatewayGoals returns what the gateway shall reach at each of Sizes.
func (r *Results) gatewayGoals() []goal {
	cpu := func(server string) func(int) []float64 {
		return func(size int) []float64 { return r.cpu(server, size) }
	}
	ours := cpu(Gateway)
	return []goal{
		{
			what: "gateway: CPU in times of floor C", limits: [3]float64{1.25, 2, 5}, decimals: 2,
			measure: func(size int) Spread { return ratio(ours(size), r.cpu(peer.FloorC, size)) },
		},
		{
			what: "gateway: times less CPU than the protojson gateway", atLeast: true, limits: [3]float64{2, 9, 13}, decimals: 1,
			measure: func(size int) Spread { return ratio(r.cpu(peer.Protojson, size), ours(size)) },
		},
		{
			what: "gateway: times less CPU than vanguard", atLeast: true, limits: [3]float64{3.5, 9, 14}, decimals: 1,
			measure: func(size int) Spread { return ratio(r.cpu(peer.Vanguard, size), ours(size)) },
		},
		{
			what: "gateway: µs added to floor C's p50 at concurrency 1", limits: [3]float64{50, 250, 2500},
			measure: r.addedLatency,
		},
	}
}

func (g goal) cell(size int) string {
	return judged(g.measure(size), g.decimals, g.atLeast, g.limits[slices.Index(Sizes(), size)])
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

// otherGoals returns what the gateway shall reach whatever the size, and what was measured.
func (r *Results) otherGoals() [][]string {
	var rows [][]string
	add := func(verdict, format string, args ...any) {
		rows = append(rows, []string{fmt.Sprintf(format, args...), verdict})
	}
	if r.Has(Translation) {
		add(judged(r.growth(), 2, false, 1.25), "decoder: cost of a byte at 1 MB, in times of that at 2 KB")
		add(judged(ratio(r.micro("Methods/%d", r.methods()), r.micro("Methods/1")), 2, false, 1.1),
			"gateway: time of a call among %d methods, in times of that with 1", r.methods())
	}
	sizes := Sizes()
	if r.Has(SectionOf(sizes[len(sizes)-1])) {
		add(judged(spread(scaled(r.PeakBytes[Gateway], 1.0/mebi)), 0, false, 100),
			"gateway: most MiB resident with %d answers of 1 MB under way", High)
	}
	if r.hasBefore() && r.Has(SectionOf(sizes[0])) {
		add(judged(ratio(r.cpu(Gateway, sizes[0]), r.cpu(Before, sizes[0])), 3, false, 1.02),
			"gateway: CPU at 2 KB and concurrency %d, in times of that before", High)
	}
	if r.Has(Goodput) {
		add(judged(r.steadiness(Gateway), 2, true, 0.9), "gateway: goodput at %d calls at a time, in times of that at %d", r.Floods[1], r.Floods[0])
	}
	if r.Has(Proofs) {
		for _, proof := range AllProofs()[1:] {
			cost := ratio(figures(r.Proved[proof], cpuMicros), figures(r.Proved[NoProof], cpuMicros))
			add(judged(cost, 3, false, 1.05), "gateway: CPU at 2 KB and concurrency %d with proof %q, in times of that without", High, proof)
		}
	}
	if r.Has(Containers) {
		for _, c := range AllContainers() {
			ok := figures(r.Contained[Confined{Gateway, c}], func(c Contained) float64 { return float64(c.OK) })
			add(judged(spread(ok), 0, true, float64(c.Answers)), "gateway: %s, OK within %s", c, ContainerDeadline)
		}
	}
	return rows
}

// steadiness returns a server's goodput with many calls at a time, in times of that with few.
func (r *Results) steadiness(server string) Spread {
	goodput := func(concurrency int) []float64 {
		return figures(r.Flooded[Flood{server, concurrency}], func(f Flooded) float64 { return f.Goodput })
	}
	return ratio(goodput(r.Floods[1]), goodput(r.Floods[0]))
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

// growth returns how much more a byte costs to decode in the largest body than in the smallest.
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
