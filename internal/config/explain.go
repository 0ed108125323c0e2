package config

import (
	"runtime/debug"
	"slices"

	"github.com/spf13/pflag"
)

// Explain is the configuration of an explanation: that of the gateway whose calls are explained, from the
// same flags, environment and file. What LoadExplain returns has passed every check of the gateway's
// configuration, with two exceptions: it has no token, and LoadExplain opens no other file than the
// configuration file.
type Explain struct {
	Config
	// Arguments are the arguments that are not flags.
	Arguments []string
	// Curl asks for a command line, JSON for JSON. They exclude each other.
	Curl, JSON bool
	// Organization is the one of OrganizationsFile for which the call is; empty: its default.
	Organization string

	origins map[string]string
}

// Origin returns where the value of a setting of the gateway comes from, such as "the command line".
func (e *Explain) Origin(setting string) string {
	if origin, ok := e.origins[setting]; ok {
		return origin
	}
	return "the default"
}

// SetOrigin says where the value of a setting comes from that was changed after LoadExplain.
func (e *Explain) SetOrigin(setting, origin string) { e.origins[setting] = origin }

// flags returns the flags that the gateway itself does not have. They are neither in the environment nor
// in a file.
func (e *Explain) flags() []setting {
	const group = "Flags"
	return []setting{
		{"curl", group, "print a command line that makes the request, with the token from $" + TokenVariable, boolean(&e.Curl)},
		{"json", group, "print all as JSON", boolean(&e.JSON)},
		{"organization", group, "`NAME` of the organization of --organizations-file that the call is for; without it, its default", text(&e.Organization)},
	}
}

// LoadExplain reads the configuration of an explanation as Load does.
func LoadExplain(args, environ []string, api API, checks ...Check) (Explain, error) {
	e := Explain{Config: defaults()}
	settings := e.settings()
	l := newLoader(slices.Concat(settings, e.flags()))
	flags, rest, help := l.fromArgs(args)
	if help {
		return Explain{}, pflag.ErrHelp
	}
	l.settings = settings
	env := l.fromEnviron(environ)
	file := l.fromFile(lastOf("config", env, flags))
	l.settings = slices.Concat(settings, e.flags())
	l.apply(file)
	l.apply(env)
	l.apply(flags)
	e.Arguments, e.origins = rest, l.origins
	e.size(debug.SetMemoryLimit(-1))
	e.check(l)
	if e.Sandbox {
		l.problem("%s: cannot be explained: its address is known only once it serves; give --upstream-url", l.where("sandbox"))
	}
	if e.Curl && e.JSON {
		l.problem("--curl and --json: one excludes the other")
	}
	if e.Organization != "" && e.OrganizationsFile == "" {
		l.problem("--organization: needs --organizations-file")
	}
	api.check(l, &e.Config)
	l.run(&e.Config, checks)
	return e, l.err()
}

// ExplainUsage returns the text that describes the flags that an explanation has and the gateway has not.
func ExplainUsage() string {
	var e Explain
	return usage(e.flags(), false)
}
