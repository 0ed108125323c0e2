package main

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"samsara.internal/gateway/internal/catalog"
	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/quota"
)

// endpointRow is one row of the list: a method.
type endpointRow struct {
	Method      string `json:"method"`
	OperationID string `json:"operationId"`
	HTTPMethod  string `json:"httpMethod"`
	Path        string `json:"path"`
	Scope       string `json:"scope,omitempty"`
	RateLimit   string `json:"rateLimit,omitempty"`
	Stage       string `json:"stage"`
	Deprecated  bool   `json:"deprecated,omitempty"`
	// Streams are the names of the methods of the same service that read all pages.
	Streams []string `json:"streams,omitempty"`
}

func newEndpointRow(e *endpoint.Endpoint) endpointRow {
	op := e.Operation
	row := endpointRow{
		Method:      strings.TrimPrefix(e.FullMethod, "/"),
		OperationID: op.GetId(),
		HTTPMethod:  e.HTTPMethod,
		Path:        op.GetPath(),
		Scope:       op.GetScope(),
		Stage:       catalog.Stage(op.GetStage()),
		Deprecated:  catalog.Method{Endpoint: e}.Deprecated(),
	}
	if limit := op.GetRateLimit(); limit != nil {
		row.RateLimit = config.FormatLimit(quota.Limit{Requests: int(limit.GetRequests()), Window: limit.GetWindow().AsDuration()})
	}
	for _, s := range e.Streams {
		row.Streams = append(row.Streams, string(s.Method.Name()))
	}
	return row
}

func endpointsUsage() string {
	return `Endpoints lists the methods served, with what is known of each.

Usage:
  gateway endpoints [flags] [WORD...]   list the methods that match every WORD, the best match first

A WORD is part of a method's name, of the names of the methods that read its pages, of its operationId
(its name in Samsara's document and SDKs), of its HTTP method and path, or of its scope or stage; case
does not matter. A path with ids in it, such as /fleet/vehicles/123, or a whole URL finds its template. A
name that a method had before finds it too. If nothing is found, similar names are printed and the exit
code is 1.

Flags:
` + endpointsFlags(new(string), new(bool)).FlagUsagesWrapped(100)
}

func endpointsFlags(format *string, asJSON *bool) *pflag.FlagSet {
	fs := pflag.NewFlagSet("endpoints", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}
	fs.StringVar(format, "format", "table", "`FORMAT` of the list: table or json")
	fs.BoolVar(asJSON, "json", false, "the same as --format json")
	return fs
}

func listEndpoints(args []string, stdout io.Writer) error {
	var (
		format string
		asJSON bool
	)
	fs := endpointsFlags(&format, &asJSON)
	if err := parse(fs, args, math.MaxInt); err != nil {
		return err
	}
	if asJSON {
		format = "json"
	}
	write := writeTable
	switch format {
	case "table":
	case "json":
		write = writeJSON[[]endpointRow]
	default:
		return badUsage("--format %q: not table or json", format)
	}
	endpoints, err := loadEndpoints()
	if err != nil {
		return err
	}
	known := catalog.New(endpoints)
	rows := []endpointRow{}
	for _, e := range known.Search(fs.Args()) {
		rows = append(rows, newEndpointRow(e))
	}
	if len(rows) > 0 {
		return write(stdout, rows)
	}
	if format == "json" {
		err = write(stdout, rows)
	}
	return errors.Join(err, known.NotFound(fs.Args()))
}

// parse reads flags. It refuses more than most other arguments.
func parse(fs *pflag.FlagSet, args []string, most int) error {
	err := fs.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return err
	case err != nil:
		return badUsage("%v", err)
	case fs.NArg() > most:
		return badUsage("%s takes at most %d arguments, got %d", fs.Name(), most, fs.NArg())
	}
	return nil
}

// columnGap separates the columns of a table.
const columnGap = "  "

func writeTable(w io.Writer, rows []endpointRow) error {
	table := [][]string{{"METHOD", "HTTP", "PATH", "SCOPE", "RATE LIMIT", "STAGE", "STREAMS", "OPERATION ID"}}
	for _, r := range rows {
		stage := r.Stage
		if r.Deprecated {
			stage += ", deprecated"
		}
		table = append(table, []string{
			r.Method, r.HTTPMethod, r.Path, r.Scope, r.RateLimit, stage, strings.Join(r.Streams, " "), r.OperationID,
		})
	}
	var b strings.Builder
	widths := columnWidths(table)
	for _, cells := range table {
		last := len(cells) - 1
		for i, cell := range cells[:last] {
			b.WriteString(cell + strings.Repeat(" ", max(0, widths[i]-len(cell))) + columnGap)
		}
		b.WriteString(cells[last] + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// columnWidths returns widths that fit nine in ten cells of each column. Some names are so long that the
// other columns would be beyond the edge of a terminal if they were aligned with them.
func columnWidths(table [][]string) []int {
	widths := make([]int, len(table[0]))
	for i := range widths {
		lengths := make([]int, len(table))
		for j, cells := range table {
			lengths[j] = len(cells[i])
		}
		slices.Sort(lengths)
		widths[i] = lengths[(len(lengths)*9+9)/10-1]
	}
	return widths
}

func writeJSON[T any](w io.Writer, value T) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
