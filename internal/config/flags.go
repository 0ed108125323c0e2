package config

import (
	"strings"

	"github.com/spf13/pflag"
)

// setting is one setting, bound to a field of the configuration that it was made from.
type setting struct {
	name  string
	group string
	// usage names the value's placeholder in back quotes.
	usage string
	value settable
}

// settable is a value that has a default.
type settable interface {
	pflag.Value
	// reset sets the default.
	reset()
}

// reset gives each setting its default.
func reset(settings []setting) {
	for _, s := range settings {
		s.value.reset()
	}
}

// variable returns the name of a setting in the environment.
func variable(name string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

const variablePrefix = "SAMSARA_GATEWAY_"

// flagSet returns the settings as flags.
func flagSet(settings []setting, inEnvironment bool) *pflag.FlagSet {
	fs := pflag.NewFlagSet("gateway", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}
	for _, s := range settings {
		usage := s.usage
		if inEnvironment {
			usage += " [" + variable(s.name) + "]"
		}
		if flag := fs.VarPF(s.value, s.name, "", usage); s.value.Type() == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
	return fs
}

// usage returns a description of settings by group, in their order.
func usage(settings []setting, inEnvironment bool) string {
	var b strings.Builder
	for len(settings) > 0 {
		group, n := settings[0].group, 1
		for n < len(settings) && settings[n].group == group {
			n++
		}
		b.WriteString("\n" + group + ":\n" + flagSet(settings[:n], inEnvironment).FlagUsagesWrapped(100))
		settings = settings[n:]
	}
	return b.String()
}
