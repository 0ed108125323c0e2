package report

import (
	"fmt"
	"io"
	"strings"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/load"
	"samsara.internal/gateway/bench/internal/peer"
)

const mebi = 1 << 20

// WritePage writes the tables in Markdown. picture is the address of what WritePicture wrote,
// relative to the page.
func (r *Results) WritePage(w io.Writer, picture string) error {
	p := &page{}
	p.line("# Benchmark results\n")
	p.line("Written by `make bench`. The figures are those of one run: compare them with each other and with nothing else.")
	p.line("Each is the median of %d rounds (least–greatest); ratios are taken within each round.", r.Rounds)
	p.line("CPU is what the kernel charged the server's process with, a request.\n")
	p.line("Client, server and upstream share the machine and speak plaintext over loopback. gRPC clients have %d connections.", load.Connections)
	p.line("Answers are those of GetVehicleStats, request bodies those of PatchRoute, sizes those of their JSON.")
	p.line("The gateway is the binary itself in its default configuration: it checks, logs and counts every call, which the others do not.\n")
	p.line("Floor A is a gRPC server with a canned answer. Floor B is an HTTP server that fetches and sends on. Floor C is a gRPC server")
	p.line("that fetches, and sends a canned answer. `protojson` is a gateway written by hand for one method, `vanguard` is")
	p.line("connectrpc.com/vanguard before a reverse proxy.\n")
	p.line("![CPU a request by body size, throughput by concurrency](%s)", picture)
	p.section("Circumstances")
	for _, fact := range r.Setup {
		p.line("- %s: %s", fact.Name, fact.Value)
	}
	r.writeGoals(p)
	r.writeServers(p)
	r.writeTranslation(p)
	_, err := io.WriteString(w, p.String())
	return err
}

func (r *Results) writeGoals(p *page) {
	p.section("Goals")
	var rows [][]string
	for _, g := range r.goals() {
		row := []string{g.what}
		for i, size := range Sizes() {
			row = append(row, g.cell(i, size))
		}
		rows = append(rows, row)
	}
	p.table(columns("goal"), rows)
	p.table([]string{"goal", "measured"}, [][]string{
		{"decoder: cost of a byte at 1 MB, in times of that at 2 KB", judged(r.growth(), 2, false, 1.25)},
		{
			fmt.Sprintf("gateway: time of a call among %d methods, in times of that with 1", r.methods()),
			judged(ratio(r.micro("Methods/%d", r.methods()), r.micro("Methods/1")), 2, false, 1.1),
		},
		{
			fmt.Sprintf("gateway: most MiB resident with %d answers of 1 MB under way", High),
			judged(spread(scaled(r.PeakBytes[Gateway], 1.0/mebi)), 0, false, 100),
		},
	})
}

func (r *Results) writeServers(p *page) {
	p.section(fmt.Sprintf("CPU a request at concurrency %d, µs", High))
	p.table(columns("server"), byServer(func(server string, size int) string {
		own := r.cpu(server, size)
		return spread(own).text(0) + ", " + ratio(own, r.cpu(peer.FloorC, size)).text(2) + " × floor C"
	}))
	p.line("The gateway with members in shuffled order, and at sizes in between:\n")
	var rows [][]string
	for _, size := range AllSizes() {
		row := []string{fleet.Body{Bytes: size}.String()}
		for _, order := range []fleet.Order{fleet.Declared, fleet.Shuffled} {
			row = append(row, spread(r.samples(Gateway, size, order, High, cpuMicros)).text(0))
		}
		rows = append(rows, row)
	}
	p.table([]string{"size", "declared order", "shuffled order"}, rows)

	p.section(fmt.Sprintf("CPU a request at concurrency %d, µs", Low))
	p.table(columns("server"), byServer(func(server string, size int) string {
		return spread(r.samples(server, size, fleet.Declared, Low, cpuMicros)).text(0)
	}))
	p.section(fmt.Sprintf("Latency at concurrency %d, µs", Low))
	p.table(columns("server"), byServer(func(server string, size int) string {
		figure := func(of func(load.Sample) float64) string {
			return spread(r.samples(server, size, fleet.Declared, Low, of)).text(0)
		}
		return "p50 " + figure(p50Micros) + ", p99 " + figure(p99Micros)
	}))

	p.section("Requests a second, 2 KB, by concurrency")
	p.line("The client and the upstream take their share of the same processors.\n")
	header := []string{"server"}
	for _, c := range Concurrencies() {
		header = append(header, fmt.Sprint(c))
	}
	rows = nil
	for _, server := range Servers() {
		row := []string{server}
		for _, c := range Concurrencies() {
			row = append(row, spread(r.samples(server, Sizes()[0], fleet.Declared, c, throughput)).text(0))
		}
		rows = append(rows, row)
	}
	p.table(header, rows)

	p.section(fmt.Sprintf("Most memory resident with %d answers of 1 MB under way, MiB", High))
	rows = nil
	for _, server := range Servers() {
		rows = append(rows, []string{server, spread(scaled(r.PeakBytes[server], 1.0/mebi)).text(0)})
	}
	p.table([]string{"server", "MiB"}, rows)
}

func (r *Results) writeTranslation(p *page) {
	p.section("JSON to wire bytes, µs")
	var rows [][]string
	for _, order := range []fleet.Order{fleet.Declared, fleet.Shuffled} {
		for _, size := range AllSizes() {
			row := []string{fmt.Sprintf("%s, %s", fleet.Body{Bytes: size}, order)}
			for _, by := range []string{Gateway, "protojson", "valid"} {
				row = append(row, spread(scaled(r.micro("Decode/%d/%s/%s", size, order, by), 1e-3)).text(1))
			}
			rows = append(rows, append(row,
				spread(r.allocs("Decode/%d/%s/%s", size, order, Gateway)).text(0),
				spread(r.allocs("Decode/%d/%s/protojson", size, order)).text(0)))
		}
	}
	p.table([]string{"size, order", Gateway, "protojson.Unmarshal + proto.Marshal", "encoding/json.Valid", "allocations, gateway", "allocations, protojson"}, rows)

	p.section("Message to JSON, µs")
	rows = nil
	for _, size := range Sizes() {
		ours, protojson := r.micro("Encode/%d/%s", size, Gateway), r.micro("Encode/%d/protojson", size)
		rows = append(rows, []string{
			fleet.Body{Bytes: size}.String(),
			spread(scaled(ours, 1e-3)).text(1), spread(scaled(protojson, 1e-3)).text(1), ratio(protojson, ours).text(1),
			spread(r.allocs("Encode/%d/%s", size, Gateway)).text(0),
			spread(r.allocs("Encode/%d/protojson", size)).text(0),
		})
	}
	p.table([]string{"size", Gateway, "protojson.Marshal", "times faster", "allocations, gateway", "allocations, protojson"}, rows)
}

// columns returns a header with one column a size.
func columns(first string) []string {
	header := []string{first}
	for _, size := range Sizes() {
		header = append(header, fleet.Body{Bytes: size}.String())
	}
	return header
}

// byServer returns one row a server with one cell a size.
func byServer(cell func(server string, size int) string) [][]string {
	var rows [][]string
	for _, server := range Servers() {
		row := []string{server}
		for _, size := range Sizes() {
			row = append(row, cell(server, size))
		}
		rows = append(rows, row)
	}
	return rows
}

// page is Markdown text.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *page) section(title string) { p.line("\n## %s\n", title) }

func (p *page) table(header []string, rows [][]string) {
	p.line("| %s |", strings.Join(header, " | "))
	p.line("|%s", strings.Repeat(" --- |", len(header)))
	for _, row := range rows {
		p.line("| %s |", strings.Join(row, " | "))
	}
	p.line("")
}
