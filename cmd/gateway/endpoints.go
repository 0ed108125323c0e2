package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/descriptorpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
)

// endpointRow is one method as it is listed.
type endpointRow struct {
	Method     string `json:"method"`
	HTTPMethod string `json:"httpMethod"`
	Path       string `json:"path"`
	Scope      string `json:"scope,omitempty"`
	RateLimit  string `json:"rateLimit,omitempty"`
	Stage      string `json:"stage"`
	Deprecated bool   `json:"deprecated,omitempty"`
	// Streams are the names of the methods that read all pages, of the same service.
	Streams []string `json:"streams,omitempty"`
}

func newEndpointRow(e *endpoint.Endpoint) endpointRow {
	op := e.Operation
	options, _ := e.Method.Options().(*descriptorpb.MethodOptions)
	row := endpointRow{
		Method:     strings.TrimPrefix(e.FullMethod, "/"),
		HTTPMethod: e.HTTPMethod,
		Path:       op.GetPath(),
		Scope:      op.GetScope(),
		Stage:      stageName(op.GetStage()),
		Deprecated: options.GetDeprecated(),
	}
	if limit := op.GetRateLimit(); limit != nil {
		row.RateLimit = fmt.Sprintf("%d/%s", limit.GetRequests(), windowName(limit.GetWindow().AsDuration()))
	}
	for _, s := range e.Streams {
		row.Streams = append(row.Streams, string(s.Method.Name()))
	}
	return row
}

// holds reports whether one of the row's columns holds text, whatever its case.
func (r endpointRow) holds(text string) bool {
	all := strings.Join(append([]string{r.Method, r.HTTPMethod + " " + r.Path, r.Scope, r.Stage}, r.Streams...), "\n")
	return strings.Contains(strings.ToLower(all), strings.ToLower(text))
}

func stageName(s apiv1.Stage) string {
	switch s {
	case apiv1.Stage_STAGE_STABLE:
		return "stable"
	case apiv1.Stage_STAGE_BETA:
		return "beta"
	case apiv1.Stage_STAGE_PREVIEW:
		return "preview"
	case apiv1.Stage_STAGE_LEGACY:
		return "legacy"
	case apiv1.Stage_STAGE_UNSPECIFIED:
		return "unspecified"
	default:
		return s.String()
	}
}

func windowName(d time.Duration) string {
	switch d {
	case time.Second:
		return "s"
	case time.Minute:
		return "min"
	case time.Hour:
		return "h"
	default:
		return d.String()
	}
}

func endpointsUsage() string {
	return `Endpoints lists the methods served, with what is known of each.

Usage:
  gateway endpoints [flags] [TEXT]   those that hold TEXT in a column

Flags:
` + endpointsFlags(new(string)).FlagUsagesWrapped(100)
}

func endpointsFlags(format *string) *pflag.FlagSet {
	fs := pflag.NewFlagSet("endpoints", pflag.ContinueOnError)
	fs.Usage = func() {}
	fs.StringVar(format, "format", "table", "`FORMAT` of the list: table or json")
	return fs
}

func listEndpoints(args []string, stdout io.Writer) error {
	var format string
	fs := endpointsFlags(&format)
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	write := writeTable
	switch format {
	case "table":
	case "json":
		write = writeJSON
	default:
		return badUsage("--format %q: not table or json", format)
	}
	endpoints, err := loadEndpoints()
	if err != nil {
		return err
	}
	rows := []endpointRow{}
	for _, e := range endpoints {
		if row := newEndpointRow(e); row.holds(fs.Arg(0)) {
			rows = append(rows, row)
		}
	}
	return write(stdout, rows)
}

// parse reads flags and at most so many other arguments.
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

func writeTable(w io.Writer, rows []endpointRow) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "METHOD\tHTTP\tPATH\tSCOPE\tRATE LIMIT\tSTAGE\tSTREAMS")
	for _, r := range rows {
		stage := r.Stage
		if r.Deprecated {
			stage += ", deprecated"
		}
		fmt.Fprintln(table, strings.Join([]string{
			r.Method, r.HTTPMethod, r.Path, r.Scope, r.RateLimit, stage, strings.Join(r.Streams, " "),
		}, "\t"))
	}
	return table.Flush()
}

func writeJSON(w io.Writer, rows []endpointRow) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(rows)
}
