package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"golang.org/x/net/http/httpguts"

	"samsara.internal/gateway/internal/tracing"
)

const (
	// flushTimeout bounds how long Stop waits for spans to be exported.
	flushTimeout = 3 * time.Second
	// maxErrorBytes bounds what is logged of an error, in which a collector may have its say.
	maxErrorBytes = 512
)

// The protocols of OTLP that there are exporters for.
const (
	protocolGRPC = "grpc"
	protocolHTTP = "http/protobuf"
)

// Settings are what the environment says of traces.
type Settings struct {
	protocol string // empty: nothing is exported
}

// Check reads the environment, in the form of os.Environ, and returns all that is wrong with it. No error has a value that
// may be secret.
func Check(environ []string) (s Settings, problems []error) {
	variables := make(map[string]string)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		variables[name] = strings.TrimSpace(value)
	}
	first := func(names ...string) (name, value string) {
		for _, name := range names {
			if value := variables[name]; value != "" {
				return name, value
			}
		}
		return "", ""
	}
	at, endpoint := first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	exporter := variables["OTEL_TRACES_EXPORTER"]
	switch {
	case strings.EqualFold(variables["OTEL_SDK_DISABLED"], "true"), exporter == "none", exporter == "" && endpoint == "":
		return Settings{}, nil
	}
	if exporter != "" && exporter != "otlp" {
		problems = append(problems, fmt.Errorf("OTEL_TRACES_EXPORTER: must be otlp or none, is %q", exporter))
	}
	which, protocol := first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	switch protocol {
	case "":
		protocol = protocolHTTP
	case protocolGRPC, protocolHTTP:
	default:
		problems = append(problems, fmt.Errorf("%s: must be %s or %s, is %q", which, protocolGRPC, protocolHTTP, protocol))
	}
	// OpenTelemetry would log these two with their values, which may be secret, and go on without.
	if u, err := url.Parse(endpoint); endpoint != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		problems = append(problems, fmt.Errorf("%s: must be http or https, and a host", at))
	}
	name, headers := first("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
	for header := range strings.SplitSeq(headers, ",") {
		if key, _, found := strings.Cut(header, "="); headers != "" && (!found || !httpguts.ValidHeaderFieldName(strings.TrimSpace(key))) {
			problems = append(problems, fmt.Errorf("%s: must be name=value pairs with commas between them", name))
			break
		}
	}
	if err := checkSampler(variables["OTEL_TRACES_SAMPLER"], variables["OTEL_TRACES_SAMPLER_ARG"]); err != nil {
		problems = append(problems, err)
	}
	return Settings{protocol}, problems
}

func checkSampler(sampler, ratio string) error {
	samplers := []string{"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"}
	if sampler != "" && !slices.Contains(samplers, strings.ToLower(sampler)) {
		return fmt.Errorf("OTEL_TRACES_SAMPLER: must be one of %s, is %q", strings.Join(samplers, ", "), sampler)
	}
	if value, err := strconv.ParseFloat(ratio, 64); strings.HasSuffix(strings.ToLower(sampler), "traceidratio") && ratio != "" && (err != nil || !(value >= 0 && value <= 1)) {
		return fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: must be between 0 and 1, is %q", ratio)
	}
	return nil
}

// Start returns the tracer that the settings ask for, nil if they ask for none, and what stops it. version is that of the
// program. Stop exports what has ended, within 3 seconds. What goes wrong with exporting is logged as a warning.
//
// Where errors go holds for the process, so Start is called once.
func (s Settings) Start(ctx context.Context, version string, log *slog.Logger) (t *tracing.Tracer, stop func(context.Context), err error) {
	if s.protocol == "" {
		return nil, func(context.Context) {}, nil
	}
	// What this logger would get is checked above, goes to the handler too, or has values that may be secret.
	otel.SetLogger(logr.Discard())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		text := err.Error()
		log.WarnContext(context.WithoutCancel(ctx), "traces: not exported", "error", strings.ToValidUTF8(text[:min(len(text), maxErrorBytes)], ""))
	}))
	var client otlptrace.Client
	if s.protocol == protocolGRPC {
		client = otlptracegrpc.NewClient()
	} else {
		client = otlptracehttp.NewClient()
	}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, nil, fmt.Errorf("traces: %w", err)
	}
	self, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName("samsara-gateway"), semconv.ServiceVersion(version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, nil, fmt.Errorf("traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(self))
	return tracing.New(provider), func(ctx context.Context) {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		if err := provider.Shutdown(bounded); err != nil {
			otel.Handle(err)
		}
	}, nil
}
