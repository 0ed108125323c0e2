package config

import (
	"log/slog"

	"github.com/spf13/pflag"

	"samsara.internal/gateway/internal/sandbox"
)

// Sandbox is the configuration of a sandbox that runs by itself. What LoadSandbox returns has passed
// every check.
type Sandbox struct {
	// Listen is the TCP address of the HTTP server.
	Listen string
	// Insecure allows plaintext, which is all the sandbox speaks, beyond loopback.
	Insecure bool
	// Token is the bearer token that requests must have. It opens nothing else, so it is no secret.
	Token string
	// Seed picks the fleet.
	Seed uint64
	// Fleet is how many records each collection begins with, and so how many assets report.
	Fleet int
	// PageSize is how many records a page has if the client does not say; 0 leaves it to the
	// sandbox.
	PageSize int
	// RateLimits answers 429 above Samsara's rate limits.
	RateLimits bool
	// Faults are what goes wrong.
	Faults []sandbox.Fault
	// LogLevel is the least level that is logged. At debug there is a line for each request.
	LogLevel slog.Level
	// LogFormat is text or JSON.
	LogFormat LogFormat
}

func (s *Sandbox) settings() []setting {
	const group = "Flags"
	return []setting{
		{"listen", group, "`ADDRESS` of the HTTP server", address(&s.Listen, false).defaultTo("127.0.0.1:8080")},
		{"insecure", group, "allow listening beyond loopback, in plaintext", boolean(&s.Insecure)},
		{"token", group, "`TOKEN` that requests must bear", text(&s.Token).defaultTo("sandbox")},
		{"seed", group, "`NUMBER` that picks the fleet", seed(&s.Seed).defaultTo(1)},
		{"fleet", group, "`NUMBER` of records that each collection begins with, such as vehicles and drivers; each reports to feeds every 5 seconds", whole(&s.Fleet, 1, sandbox.MaxFleet).defaultTo(sandbox.DefaultFleet)},
		{"page-size", group, "`NUMBER` of records on a page if the client does not say; 0: 10, fewer of large ones", whole(&s.PageSize, 0, sandbox.MaxPageSize)},
		{"rate-limits", group, "answer 429 above Samsara's rate limits", boolean(&s.RateLimits)},
		{"fault", group, faultUsage, faults(&s.Faults)},
		{"log-level", group, logLevelUsage, level(&s.LogLevel).defaultTo(slog.LevelInfo)},
		{"log-format", group, logFormatUsage, logFormat(&s.LogFormat).defaultTo(LogText)},
	}
}

func sandboxDefaults() Sandbox {
	var s Sandbox
	reset(s.settings())
	return s
}

// LoadSandbox reads the configuration of a sandbox of api from its arguments alone. The error is like
// that of Load.
func LoadSandbox(args []string, api API) (Sandbox, error) {
	s := sandboxDefaults()
	l := newLoader(s.settings())
	flags, rest, help := l.fromArgs(args)
	if help {
		return Sandbox{}, pflag.ErrHelp
	}
	l.noArguments(rest)
	l.apply(flags)
	if s.Token == "" {
		l.problem("%s: empty", l.where("token"))
	} else if err := checkToken(s.Token); err != nil {
		l.problem("%s: %v", l.where("token"), err)
	}
	if !s.Insecure && !isLoopback(s.Listen) {
		l.problem("%s: beyond loopback, and plaintext: needs --insecure", l.where("listen"))
	}
	api.checkFaults(l, "fault", s.Faults)
	return s, l.err()
}

// SandboxUsage returns the text that describes the sandbox's flags, at most 100 columns wide.
func SandboxUsage() string {
	s := sandboxDefaults()
	return usage(s.settings(), false)
}
