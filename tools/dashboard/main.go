// Command dashboard writes the Grafana dashboard of the gateway's metrics to standard output, see make dashboard.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	text, err := generate()
	if err == nil {
		_, err = os.Stdout.Write(text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1) //nolint:forbidigo // main ends here
	}
}

// row is a row of panels, each a third of it wide.
type row struct {
	title  string
	panels []panel
}

// panel is a chart, or a single number if single is true. Its lines are PromQL by legend.
type panel struct {
	title, about, unit string
	single             bool
	lines              []line
}

type line struct{ legend, expr string }

// The units of panels.
const (
	perSecond = "reqps"
	seconds   = "s"
	share     = "percentunit"
	size      = "bytes"
	number    = "short"
)

// quantile returns PromQL for a quantile of a histogram, which is native or has classic buckets.
func quantile(q, metric, by string) string {
	matcher := ""
	if by == "organization" {
		matcher = org
	}
	native := fmt.Sprintf("sum by (%s) (rate(%s{%s}[$__rate_interval]))", by, metric, matcher)
	classic := fmt.Sprintf("sum by (%s, le) (rate(%s_bucket{%s}[$__rate_interval]))", by, metric, matcher)
	return fmt.Sprintf("histogram_quantile(%s, %s) or histogram_quantile(%s, %s)", q, native, q, classic)
}

const (
	prefix = "samsara_gateway_"
	org    = `organization=~"$organization"`
)

// sum returns PromQL for the rate of a counter, by labels.
func sum(by, metric, matcher string) string {
	return fmt.Sprintf("sum by (%s) (rate(%s%s{%s}[$__rate_interval]))", by, prefix, metric, matcher)
}

// rows returns what is shown. The first row says whether it is us, Samsara or the caller.
func rows() []row {
	return []row{
		{"Is it us, Samsara or the caller?", []panel{
			{"Alerts", "That fire now.", number, true, []line{{"{{alertname}} ({{culprit}})", `ALERTS{alertstate="firing",alertname=~"SamsaraGateway.*"}`}}},
			{"Time of an attempt at Samsara", "Mean, from connecting to the last byte.", seconds, false, []line{
				{"{{organization}}", `samsara_gateway:upstream_attempt_seconds:mean2m{` + org + `}`},
			}},
			{"Time of a call for a caller", "Mean, all of it: waits, Samsara, translation.", seconds, false, []line{
				{"{{caller}}", `sum by (caller) (rate(samsara_gateway_caller_call_seconds_total{` + org + `}[$__rate_interval])) / (` + sum("caller", "caller_calls_total", org) + ` > 0)`},
			}},
			{"Answers of Samsara", "By status class.", perSecond, false, []line{{"{{class}}", sum("class", "upstream_attempts_total", org)}}},
			{"Calls by caller", "Names of the policy, then other.", perSecond, false, []line{{"{{caller}}", sum("caller", "caller_calls_total", org)}}},
			{"Calls that fail, by caller", "", perSecond, false, []line{{"{{caller}} {{code}}", sum("caller, code", "caller_calls_total", `code!="OK",`+org)}}},
		}},
		{"Calls", []panel{
			{"Calls by operation", "The ten that are called most.", perSecond, false, []line{{"{{operation}}", "topk(10, " + sum("operation", "calls_total", `operation=~"$operation"`) + ")"}}},
			{"Errors by operation", "The ten that fail most.", perSecond, false, []line{{"{{operation}} {{code}}", "topk(10, " + sum("operation, code", "calls_total", `code!="OK",operation=~"$operation"`) + ")"}}},
			{"Slowest operations, 99 %", "The ten that are slowest.", seconds, false, []line{{"{{operation}}", "topk(10, " + quantile("0.99", prefix+"call_duration_seconds", "operation") + ")"}}},
			{"Calls that run", "And how many may.", number, false, []line{
				{"running {{instance}}", "samsara_gateway_running_calls"}, {"limit {{instance}}", "samsara_gateway_running_calls_limit"},
			}},
			{"Refused calls and connections", "Because there were too many.", perSecond, false, []line{
				{"calls", "sum(rate(samsara_gateway_refused_calls_total[$__rate_interval]))"},
				{"connections", "sum(rate(samsara_gateway_connections_refused_total[$__rate_interval]))"},
			}},
			{"Connections", "", number, false, []line{{"{{instance}}", "samsara_gateway_connections"}}},
		}},
		{"Samsara", []panel{
			{"Time of an attempt, 50 % and 99 %", "", seconds, false, []line{
				{"50 % {{organization}}", quantile("0.5", prefix+"upstream_attempt_duration_seconds", "organization")},
				{"99 % {{organization}}", quantile("0.99", prefix+"upstream_attempt_duration_seconds", "organization")},
			}},
			{"Slowest operations at Samsara", "Mean time of an attempt, the ten that are slowest.", seconds, false, []line{
				{"{{operation}}", "topk(10, " + sum("operation", "operation_upstream_seconds_total", "") + " / (" + sum("operation", "operation_upstream_attempts_total", "") + " > 0))"},
			}},
			{"Translation, 99 %", "Of an answer, after its last byte: ours.", seconds, false, []line{
				{"{{organization}}", quantile("0.99", prefix+"translation_duration_seconds", "organization")},
			}},
			{"Retries", "By the class of the attempt before.", perSecond, false, []line{{"{{class}}", sum("class", "upstream_retries_total", org)}}},
			{"Not repeated", "Attempts that failed by what may pass, by why they were not repeated.", perSecond, false, []line{
				{"{{reason}}", sum("reason", "upstream_retries_refused_total", org)},
			}},
			{"Circuits that are not closed", "", number, false, []line{
				{"host {{organization}}", `1 - samsara_gateway_upstream_circuit{state="closed",` + org + `}`},
				{"others {{organization}}", "samsara_gateway_upstream_open_circuits{" + org + "}"},
			}},
			{"Where reads come from", "", perSecond, false, []line{{"{{source}}", sum("source", "reads_total", org)}}},
			{"Drift", "Values that differ from the API document, by kind.", perSecond, false, []line{{"{{kind}}", sum("kind", "response_drift_total", org)}}},
			{"Drift by field", "The ten that differ most.", perSecond, false, []line{
				{"{{operation}} {{field}} {{kind}}", "topk(10, " + sum("operation, field, kind", "response_drift_fields_total", org) + ")"},
			}},
		}},
		{"Quota", []panel{
			{"Budgets used", "Share of what is admitted now.", share, false, []line{
				{"{{organization}} {{budget}} {{operation}}", "samsara_gateway_quota_used_requests{" + org + "} / (samsara_gateway_quota_effective_requests{" + org + "} > 0)"},
			}},
			{"Requests that wait", "", number, false, []line{{"{{organization}} {{budget}} {{operation}}", "samsara_gateway_quota_waiting_requests{" + org + "}"}}},
			{"Refused by the quota", "", perSecond, false, []line{{"{{kind}} {{reason}} {{priority}}", sum("kind, reason, priority", "quota_refusals_total", org)}}},
			{"Wait in the quota, 99 %", "", seconds, false, []line{{"{{organization}}", quantile("0.99", prefix+"quota_wait_seconds", "organization")}}},
			{"429s", "By budget.", perSecond, false, []line{{"{{budget}} {{operation}}", sum("budget, operation", "quota_throttled_total", org)}}},
			{"Redis", "1 if it answers.", number, false, []line{{"{{instance}} {{organization}}", "samsara_gateway_quota_store_up{" + org + "}"}}},
		}},
		{"Streams and memory", []panel{
			{"Streams, readers and followers", "", number, false, []line{
				{"streams {{shape}}", "sum by (shape) (samsara_gateway_open_streams)"},
				{"readers", "sum(samsara_gateway_feed_readers)"},
				{"followers", "sum(samsara_gateway_feed_followers)"},
			}},
			{"Lag of feeds", "The ten that are furthest behind.", seconds, false, []line{
				{"{{organization}} {{operation}}", "topk(10, max by (organization, operation) (samsara_gateway_feed_lag_seconds{" + org + "}))"},
			}},
			{"Failures that followers did not notice", "", perSecond, false, []line{{"{{code}}", sum("code", "feed_failures_outlasted_total", "")}}},
			{"Memory by holder", "", size, false, []line{
				{"{{holder}}", "sum by (holder) (samsara_gateway_memory_bytes)"},
				{"cache", "sum(samsara_gateway_cached_bytes)"},
				{"limit of {{pool}}", "sum by (pool) (samsara_gateway_memory_limit_bytes)"},
			}},
			{"Waiting for memory", "And connections that were closed for it.", number, false, []line{
				{"waiting {{pool}}", "sum by (pool) (samsara_gateway_memory_waiting)"},
				{"closed", "sum(increase(samsara_gateway_connections_closed_total[$__rate_interval]))"},
			}},
			{"Process", "Resident memory.", size, false, []line{{"{{instance}}", `process_resident_memory_bytes{job="samsara-gateway"}`}}},
		}},
		{"Files", []panel{
			{"Certificates expire in", "", seconds, false, []line{{"{{instance}} {{certificate}}", "samsara_gateway_certificate_not_after_timestamp_seconds - time()"}}},
			{"Age of files", "Since this process took up what is in use.", seconds, false, []line{{"{{instance}} {{file}}", "time() - samsara_gateway_file_changed_timestamp_seconds"}}},
			{"Files that cannot be taken up", "Looks that failed since the last good one.", number, false, []line{{"{{instance}} {{file}}", "samsara_gateway_file_consecutive_failures > 0"}}},
			{"Audit log", "Lines.", perSecond, false, []line{{"{{result}}", sum("result", "audit_lines_total", "")}}},
			{"Versions", "", number, false, []line{{"{{version}} {{revision}} {{api_document}}", "count by (version, revision, api_document) (samsara_gateway_build_info)"}}},
			{"CPU", "Cores.", number, false, []line{{"{{instance}}", `rate(process_cpu_seconds_total{job="samsara-gateway"}[$__rate_interval])`}}},
		}},
	}
}

// generate returns the dashboard as JSON.
func generate() ([]byte, error) {
	source := common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("$datasource")}
	//nolint:staticcheck // SA1019: the classic form, which older Grafanas import too
	board := dashboard.NewDashboardBuilder("Samsara gateway").
		Uid("samsara-gateway").Tags([]string{"samsara-gateway"}).
		Description("Made by make dashboard. docs/operations.md says what to do.").
		Time("now-1h", "now").Refresh("30s").Readonly().Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus")).
		WithVariable(labels(source, "organization", "samsara_gateway_upstream_attempts_total")).
		WithVariable(labels(source, "operation", "samsara_gateway_calls_total"))
	id := uint32(0)
	next := func() uint32 { id++; return id }
	for _, r := range rows() {
		board = board.WithRow(dashboard.NewRowBuilder(r.title).Id(next()))
		for _, p := range r.panels {
			board = board.WithPanel(p.build(next(), source))
		}
	}
	made, err := board.Build()
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(made, "", "  ")
	return append(text, '\n'), err
}

// labels returns a variable whose values are those of a label.
func labels(source common.DataSourceRef, label, metric string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(label).
		Query(dashboard.StringOrMap{String: cog.ToPtr(fmt.Sprintf("label_values(%s, %s)", metric, label))}).
		Datasource(source).Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
		IncludeAll(true).AllValue(".*").Multi(true).
		Current(dashboard.VariableOption{Text: dashboard.StringOrArrayOfString{String: cog.ToPtr("All")}, Value: dashboard.StringOrArrayOfString{String: cog.ToPtr("$__all")}})
}

const (
	height = 7
	width  = 8 // of 24
)

func (p panel) build(id uint32, source common.DataSourceRef) cog.Builder[dashboard.Panel] {
	var queries []*prometheus.DataqueryBuilder
	for i, l := range p.lines {
		query := prometheus.NewDataqueryBuilder().Expr(l.expr).LegendFormat(l.legend).RefId(string(rune('A' + i)))
		if p.single {
			query = query.Instant()
		} else {
			query = query.Range()
		}
		queries = append(queries, query)
	}
	if p.single {
		made := stat.NewPanelBuilder().Id(id).Title(p.title).Description(p.about).Unit(p.unit).Datasource(source).Height(height).Span(width)
		for _, query := range queries {
			made = made.WithTarget(query)
		}
		return made
	}
	made := timeseries.NewPanelBuilder().Id(id).Title(p.title).Description(p.about).Unit(p.unit).Datasource(source).Height(height).Span(width).Min(0)
	for _, query := range queries {
		made = made.WithTarget(query)
	}
	return made
}
