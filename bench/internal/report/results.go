// Package report turns measurements into a page of tables and a picture.
//
// Every figure is a median over rounds, with the least and the greatest. A ratio is taken
// within each round, whose measurements lie seconds apart, so that a slow spell of the machine
// falls on both of its sides.
package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/load"
	"samsara.internal/gateway/bench/internal/peer"
)

// Gateway is the name of the server that is measured, and Before that of an older build of it.
// The others are those of package peer.
const (
	Gateway = "gateway"
	Before  = "gateway before"
)

// Section is a part of the measurements.
type Section string

// The sections, apart from those of Sizes.
const (
	// Translation is the Go benchmarks of package micro.
	Translation Section = "micro"
	// Between is the gateway at the sizes that are not in Sizes.
	Between Section = "between"
	// Throughput is the smallest body at Concurrencies.
	Throughput Section = "throughput"
	// Goodput is calls with a deadline, at Floods.
	Goodput Section = "goodput"
	// Followers is streams that follow one feed.
	Followers Section = "followers"
	// Proofs is the smallest body for callers that prove who they are in some way of AllProofs.
	Proofs Section = "proofs"
	// Containers is large answers with little memory.
	Containers Section = "containers"
)

// SectionOf returns the section of one of Sizes, such as "2kb".
func SectionOf(size int) Section {
	return Section(strings.ToLower(strings.ReplaceAll(fleet.Body{Bytes: size}.String(), " ", "")))
}

// Sections returns all of them, in the order in which they are measured.
func Sections() []Section {
	sections := []Section{Translation}
	for _, size := range slices.Backward(Sizes()) {
		sections = append(sections, SectionOf(size))
	}
	return append(sections, Between, Throughput, Goodput, Followers, Proofs, Containers)
}

// ParseSections reads a list with commas in between. "cpu" stands for all sizes and those between
// them; Throughput brings the smallest body with it.
func ParseSections(list string) ([]Section, error) {
	smallest := SectionOf(Sizes()[0])
	groups := map[Section][]Section{Throughput: {Throughput, smallest}, "cpu": {Between}}
	for _, size := range Sizes() {
		groups["cpu"] = append(groups["cpu"], SectionOf(size))
	}
	wanted := map[Section]bool{}
	for name := range strings.SplitSeq(list, ",") {
		section := Section(strings.TrimSpace(name))
		group, ok := groups[section]
		if !ok {
			group = []Section{section}
		}
		for _, s := range group {
			if !slices.Contains(Sections(), s) {
				return nil, fmt.Errorf("section %q: must be cpu or one of %v", s, Sections())
			}
			wanted[s] = true
		}
	}
	return slices.DeleteFunc(Sections(), func(s Section) bool { return !wanted[s] }), nil
}

// Servers returns what there is to measure, in the order of the tables. Before is measured only
// if there is such a build.
func Servers() []string {
	return []string{Gateway, Before, peer.FloorA, peer.FloorB, peer.FloorC, peer.Protojson, peer.Vanguard, peer.Stream}
}

// Cell is one combination that is measured once a round.
type Cell struct {
	Server      string
	Body        fleet.Body
	Concurrency int
}

// Low and High are the concurrencies in the tables.
const (
	Low  = 1
	High = 50
)

// Sizes are the body sizes of the tables, in bytes.
func Sizes() []int { return []int{2 << 10, 50 << 10, 1 << 20} }

// AllSizes adds those in between, at which the gateway alone is measured.
func AllSizes() []int { return []int{2 << 10, 10 << 10, 50 << 10, 250 << 10, 1 << 20} }

// Concurrencies are those of the picture, at the smallest body.
func Concurrencies() []int { return []int{Low, 4, 16, High, 150} }

// Deadline is that of the calls of section Goodput.
const Deadline = time.Second

// Container is an amount of memory and answers that are asked for in it, all at once.
type Container struct {
	LimitBytes int64
	Answers    int
	Body       fleet.Body
}

// String returns it in words.
func (c Container) String() string {
	return fmt.Sprintf("%d answers of %s in %d MiB", c.Answers, c.Body, c.LimitBytes>>20)
}

// AllContainers are those of section Containers.
func AllContainers() []Container {
	return []Container{
		{96 << 20, 50, fleet.Body{Bytes: 1 << 20, Order: fleet.Declared}},
		{256 << 20, 40, fleet.Body{Bytes: 10 << 20, Order: fleet.Declared}},
	}
}

// ContainerDeadline is that of each of the answers.
const ContainerDeadline = time.Minute

// Results are the measurements of one run.
type Results struct {
	// Setup are the circumstances, in the order in which to tell them.
	Setup []Fact
	// Rounds is how many values each of the lists below has.
	Rounds int
	// Sections are the ones that were measured. LeftOut says why others that were asked for were not.
	Sections []Section
	LeftOut  []Fact
	// Servers are those that were measured, some of Servers().
	Servers []string
	// BeforeCommit is what Before was built from.
	BeforeCommit string

	Samples map[Cell][]load.Sample
	// PeakBytes is the most memory that was resident once High answers of the largest body
	// were under way, by server.
	PeakBytes map[string][]float64
	// Micro holds the Go benchmarks, by name without "Benchmark" and the number of processors.
	Micro map[string][]Micro

	// Floods are how many calls at a time section Goodput has, few and many.
	Floods  [2]int
	Flooded map[Flood][]Flooded

	// Followers are how many streams section Followers has, one number after the other, MessageBytes how long a
	// message is.
	Followers    []int
	MessageBytes int
	Followed     map[Following][]load.Followed

	// Proved is what the gateway measured by Proof.
	Proved map[Proof][]load.Sample

	Contained map[Confined][]Contained
}

// Following is a server and the number of streams that follow one feed of it.
type Following struct {
	Server    string
	Followers int
}

// Proof is how callers prove who they are.
type Proof string

// The proofs. With NoProof, authentication and policy are off.
const (
	NoProof     Proof = "none, and no policy"
	StaticToken Proof = "static token, and a policy"
	SignedToken Proof = "JWT (RS256), and a policy" //nolint:gosec // G101: this is no credential
)

// AllProofs are those of section Proofs.
func AllProofs() []Proof { return []Proof{NoProof, StaticToken, SignedToken} }

// Flood is a server and the number of calls at a time.
type Flood struct {
	Server      string
	Concurrency int
}

// Flooded is the result of a Flood.
type Flooded struct {
	load.Flood

	// Collections is how often garbage was collected; 0 for servers that do not tell.
	Collections float64
}

// Confined is a server in a container.
type Confined struct {
	Server    string
	Container Container
}

// Contained is the result of a Confined.
type Contained struct {
	// OK is how many answers came, and Failed counts the other calls, by the name of their code.
	OK     int
	Failed map[string]int
	// Took is how long it was until the last call had ended.
	Took time.Duration
	// PeakBytes is the most memory that its control group used, Kills how often the kernel
	// killed it.
	PeakBytes float64
	Kills     int
}

// Has reports whether a section was measured.
func (r *Results) Has(s Section) bool { return slices.Contains(r.Sections, s) }

// hasBefore reports whether there is an older build.
func (r *Results) hasBefore() bool { return slices.Contains(r.Servers, Before) }

// sizes returns those of Sizes that were measured.
func (r *Results) sizes() []int {
	return slices.DeleteFunc(Sizes(), func(size int) bool { return !r.Has(SectionOf(size)) })
}

// Callers returns the servers that answer calls of fleet.Stats.
func (r *Results) Callers() []string {
	return slices.DeleteFunc(slices.Clone(r.Servers), func(server string) bool { return server == peer.Stream })
}

// Builds returns the servers that are the gateway.
func (r *Results) Builds() []string {
	return slices.DeleteFunc(slices.Clone(r.Servers), func(server string) bool { return server != Gateway && server != Before })
}

// Fact is one of the circumstances of a run.
type Fact struct{ Name, Value string }

// Micro is one result of a Go benchmark, for one operation.
type Micro struct {
	Time   time.Duration
	Allocs float64
}

// Spread is the median, the least and the greatest of some values. The zero value is that of no values.
type Spread struct {
	Median, Min, Max float64
	Count            int
}

func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(values))
	return Spread{Median: (s[(len(s)-1)/2] + s[len(s)/2]) / 2, Min: s[0], Max: s[len(s)-1], Count: len(s)}
}

// text returns the spread with so many decimals.
func (s Spread) text(decimals int) string {
	if s.Count == 0 {
		return "–"
	}
	return fmt.Sprintf("%.*f (%.*f–%.*f)", decimals, s.Median, decimals, s.Min, decimals, s.Max)
}

// each combines two lists round by round.
func each(a, b []float64, combine func(a, b float64) float64) []float64 {
	combined := make([]float64, min(len(a), len(b)))
	for i := range combined {
		combined[i] = combine(a[i], b[i])
	}
	return combined
}

func ratio(a, b []float64) Spread {
	return spread(each(a, b, func(a, b float64) float64 { return a / b }))
}

// samples returns one figure of every round.
func (r *Results) samples(server string, size int, order fleet.Order, concurrency int, figure func(load.Sample) float64) []float64 {
	return figures(r.Samples[Cell{server, fleet.Body{Bytes: size, Order: order}, concurrency}], figure)
}

// cpu returns microseconds a request at high concurrency.
func (r *Results) cpu(server string, size int) []float64 {
	return r.samples(server, size, fleet.Declared, High, cpuMicros)
}

// micro returns nanoseconds an operation.
func (r *Results) micro(format string, args ...any) []float64 {
	return figures(r.Micro[fmt.Sprintf(format, args...)], func(m Micro) float64 { return float64(m.Time) })
}

func (r *Results) allocs(format string, args ...any) []float64 {
	return figures(r.Micro[fmt.Sprintf(format, args...)], func(m Micro) float64 { return m.Allocs })
}

// figures returns one figure of each.
func figures[T, F any](all []T, figure func(T) F) []F {
	values := make([]F, len(all))
	for i, one := range all {
		values[i] = figure(one)
	}
	return values
}

func millis(d time.Duration) float64   { return float64(d) / float64(time.Millisecond) }
func micros(d time.Duration) float64   { return float64(d) / float64(time.Microsecond) }
func cpuMicros(s load.Sample) float64  { return micros(s.CPU) }
func p50Micros(s load.Sample) float64  { return micros(s.P50) }
func p99Micros(s load.Sample) float64  { return micros(s.P99) }
func allocs(s load.Sample) float64     { return s.Allocs }
func throughput(s load.Sample) float64 { return s.Throughput }
