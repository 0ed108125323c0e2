package config

import (
	"net"
	"slices"
	"time"

	"github.com/spf13/pflag"
)

// Health is what the command health is told. What LoadHealth returns has passed every check.
type Health struct {
	// Address is where the gateway serves gRPC.
	Address string
	// TLS is whether that is secured.
	TLS bool
	// CAFile has the authorities of the gateway's certificate; empty: the system's.
	CAFile string
	// ServerName is the name in the gateway's certificate; empty: that of Address.
	ServerName string
	// CertFile and KeyFile are the certificate to show to the gateway; both or neither.
	CertFile, KeyFile string
	// Beside is whether the address is that of the gateway's configuration, on this machine: its certificate is not
	// verified unless there is a CAFile.
	Beside bool
	// Service is what is asked about; empty: the whole gateway.
	Service string
	// Timeout bounds all of it.
	Timeout time.Duration

	gateway Config
}

// flags returns the flags that the gateway itself does not have. They are neither in the environment nor in a file.
func (h *Health) flags() []setting {
	const group = "Flags"
	return []setting{
		{"address", group, "`ADDRESS` of the gateway; without it what the gateway's configuration says", address(&h.Address, true)},
		{"tls", group, "use TLS with that address", boolean(&h.TLS)},
		{"ca-file", group, "PEM `FILE` with the authorities of the gateway's certificate, if they are not the system's", text(&h.CAFile)},
		{"server-name", group, "`NAME` in that certificate, if it is not in the address", text(&h.ServerName)},
		{"cert-file", group, "PEM `FILE` with a certificate to show to the gateway", text(&h.CertFile)},
		{"key-file", group, "PEM `FILE` with its private key", text(&h.KeyFile)},
		{"service", group, "full `NAME` of the service to ask about; without it, all", text(&h.Service)},
		{"timeout", group, "longest `TIME` to wait", duration(&h.Timeout, time.Millisecond, time.Minute).defaultTo(time.Second)},
	}
}

// LoadHealth reads what the command health is told. If there is no --address it reads the configuration as the gateway
// does, from flags, environment and file, and takes from it where the gateway listens and by which certificates. What else
// is wrong with that configuration is no error: the gateway may run on with an older one. LoadHealth opens no file but the
// configuration's own. If help is asked for the error is pflag.ErrHelp.
func LoadHealth(args, environ []string) (Health, error) {
	h := Health{gateway: defaults()}
	own, settings := h.flags(), h.gateway.settings()
	reset(own)
	l := newLoader(slices.Concat(own, settings))
	flags, rest, help := l.fromArgs(args)
	if help {
		return Health{}, pflag.ErrHelp
	}
	l.noArguments(rest)
	h.Beside = lastOf("address", flags).text == ""
	if h.Beside {
		env := newLoader(settings).fromEnviron(environ)
		l.apply(ofListening(l.fileOf(settings, lastOf("config", env, flags))))
		l.apply(ofListening(env))
	}
	l.apply(flags)
	if h.Beside {
		h.besideGateway(l)
	}
	for _, name := range []string{"ca-file", "server-name", "cert-file", "key-file"} {
		if l.origins[name] != "" && !h.TLS {
			l.problem("%s: has no effect without TLS", l.where(name))
		}
	}
	if (h.CertFile == "") != (h.KeyFile == "") {
		l.problem("--cert-file and --key-file: one is given without the other")
	}
	return h, l.err()
}

// fileOf returns what a configuration file says. It reports only that nothing of the file can be read.
func (l *loader) fileOf(settings []setting, file assignment) []assignment {
	inner := newLoader(settings)
	found := inner.fromFile(file)
	if len(found) == 0 {
		l.problems = append(l.problems, inner.problems...)
	}
	return found
}

// ofListening returns the assignments of settings that say how the gateway is reached.
func ofListening(all []assignment) []assignment {
	return slices.DeleteFunc(all, func(a assignment) bool {
		return !slices.Contains([]string{"listen", "tls-cert-file", "tls-key-file", "tls-client-ca-file", "tls-client-auth"}, a.name)
	})
}

// besideGateway takes from the gateway's configuration how to reach it.
func (h *Health) besideGateway(l *loader) {
	if l.origins["tls"] != "" {
		l.problem("%s: has no effect without --address", l.where("tls"))
	}
	of := &h.gateway
	h.Address, h.TLS = besideOf(of.Listen), of.TLSCertFile != ""
	if of.TLSClientCAFile != "" && of.TLSClientAuth == ClientAuthRequire && h.CertFile == "" && h.KeyFile == "" {
		h.CertFile, h.KeyFile = of.TLSCertFile, of.TLSKeyFile
	}
}

// besideOf returns the address by which a process of this machine reaches what listens on an address.
func besideOf(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}

// HealthUsage returns the text that describes the flags of the command health.
func HealthUsage() string {
	var h Health
	flags := h.flags()
	reset(flags)
	return usage(flags, false)
}
