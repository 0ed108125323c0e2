package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/sandbox"
)

const token = "samsara_api_s3cr3t"

// api returns a small API.
func api() config.API {
	reads := []string{
		"samsara_gateway.vehicles.v1.VehiclesService/GetVehicle", "samsara_gateway.vehicles.v1.VehiclesService/ListVehicles",
		"samsara_gateway.drivers.v1.DriversService/ListDrivers", "samsara_gateway.tags.v1.TagsService/ListTags",
	}
	return config.API{
		Methods: append(reads, "samsara_gateway.tags.v1.TagsService/CreateTag"), Reads: reads,
		Paths: []string{"/fleet/vehicles", "/fleet/vehicles/{id}/stats", "/tags", "/a"},
	}
}

// load reads a configuration with a token in the environment.
func load(t *testing.T, args []string, environ ...string) (config.Config, error) {
	t.Helper()
	return config.Load(args, append(environ, config.TokenVariable+"="+token, "PATH=/bin"), api())
}

func mustLoad(t *testing.T, args []string, environ ...string) config.Config {
	t.Helper()
	c, err := load(t, args, environ...)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return c
}

// problems returns what an error lists.
func problems(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var e *config.Error
	if !errors.As(err, &e) {
		t.Fatalf("error of type %T: %v", err, err)
	}
	return e.Problems
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDefaults_withoutMemoryLimit looks at the defaults that no row of the settings has. The others are in the
// table that the documentation has.
func TestDefaults_withoutMemoryLimit(t *testing.T) {
	t.Parallel()
	got := mustLoad(t, nil)
	if got.APIToken.Reveal() != token {
		t.Errorf("APIToken = %q", got.APIToken.Reveal())
	}
	if got.MaxInFlightBytes != 256<<20 || got.MaxResponseBytes != 64<<20 || got.MaxConcurrentCalls != 50_000 || got.UpstreamMaxIdleConns != 10_000 {
		t.Errorf("%d bytes in flight, %d a response, %d calls, %d idle connections",
			got.MaxInFlightBytes, got.MaxResponseBytes, got.MaxConcurrentCalls, got.UpstreamMaxIdleConns)
	}
}

// samples returns texts for settings of a kind, by what their values are called in the help of pflag.
func samples(kind string) []string {
	return map[string][]string{
		"bool":     {"true", "false"},
		"int":      {"7", "50"},
		"duration": {"2s"},
		"bytes":    {"2MiB"},
		"limit":    {"15/10s"},
		"list":     {"samsara_gateway.vehicles.v1.*=30s", "samsara_gateway.vehicles.v1.*=50/min,*=1/h", "billing=2,web=0.5", "gateway.acme.test", "0.1,2.5"},
		"string":   {"127.0.0.1:1", "https://api.eu.samsara.com", "2024-11-18", "redis://redis.internal:6379/1", "debug", "json", "1.3"},
	}[kind]
}

// TestSettings_everySource sets each setting by flag, variable and file to a
// value that is not its default, and expects the same configuration.
func TestSettings_everySource(t *testing.T) {
	t.Parallel()
	// These need other settings to go with them, and have tests of their own.
	apart := []string{
		"tls-cert-file", "tls-key-file", "admin-tls-cert-file", "admin-tls-key-file", "tls-client-ca-file", "tls-client-auth", "api-token-file", "organizations-file",
		"jwt-issuer", "jwt-audience", "jwt-jwks-file", "jwt-jwks-url", "jwt-jwks-ca-file", "jwt-jwks-token-file", "jwt-clock-skew", "sandbox", "sandbox-seed", "sandbox-fault", "config",
		"audit-format", "audit-max-bytes", "audit-files", "audit-required",
	}
	unchanged := mustLoad(t, nil)
	// sample returns a value of a setting that is taken and changes something.
	sample := func(name string) (string, bool) {
		for _, value := range samples(config.Kind(name)) {
			if c, err := load(t, []string{"--" + name + "=" + value}); err == nil && diffConfigs(c, unchanged) != "" {
				return value, true
			}
		}
		return "", false
	}
	for _, name := range config.Names() {
		if slices.Contains(apart, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			value, ok := sample(name)
			if !ok {
				t.Fatalf("no sample of kind %s fits: give samples one that does", config.Kind(name))
			}
			byFlag := mustLoad(t, []string{"--" + name + "=" + value})
			byVariable := mustLoad(t, nil, config.Variable(name)+"="+value)
			byFile := mustLoad(t, []string{"--config", write(t, fmt.Sprintf("%s: %q", name, value))})
			byFile.File = ""
			if diff := diffConfigs(byFlag, byVariable); diff != "" {
				t.Errorf("flag and variable differ (-flag +variable):\n%s", diff)
			}
			if diff := diffConfigs(byFlag, byFile); diff != "" {
				t.Errorf("flag and file differ (-flag +file):\n%s", diff)
			}
			if got := logged(t, byFlag)[name]; got != value {
				t.Errorf("logged as %q, want %q", got, value)
			}
		})
	}
}

func diffConfigs(a, b config.Config) string {
	return cmp.Diff(a, b, cmp.Comparer(func(a, b config.Secret) bool { return a == b }))
}

// logged returns the settings in a log line with a configuration.
func logged(t *testing.T, c config.Config) map[string]string {
	t.Helper()
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "config", c)
	if strings.Contains(b.String(), token) {
		t.Errorf("the log holds the token: %s", &b)
	}
	var line struct{ Config map[string]string }
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	return line.Config
}

func TestLoad_flagsOverEnvironmentOverFile(t *testing.T) {
	t.Parallel()
	file := write(t, "retry-max-attempts: 2\nlog-level: warn\nretry-max-delay: 7s\n")
	c := mustLoad(t, []string{"--retry-max-attempts", "6"},
		"SAMSARA_GATEWAY_CONFIG="+file, "SAMSARA_GATEWAY_RETRY_MAX_ATTEMPTS=5", "SAMSARA_GATEWAY_LOG_LEVEL=error")
	if c.RetryMaxAttempts != 6 {
		t.Errorf("RetryMaxAttempts = %d, want the flag's 6", c.RetryMaxAttempts)
	}
	if c.LogLevel != slog.LevelError {
		t.Errorf("LogLevel = %v, want the environment's error", c.LogLevel)
	}
	if c.RetryMaxDelay != 7*time.Second {
		t.Errorf("RetryMaxDelay = %v, want the file's 7s", c.RetryMaxDelay)
	}
	if c.RetryBaseDelay != 250*time.Millisecond {
		t.Errorf("RetryBaseDelay = %v, want the default", c.RetryBaseDelay)
	}
}

func TestLoad_namesEveryProblemWithItsSource(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	for _, test := range []struct {
		name    string
		args    []string
		environ []string
		file    string
		want    []string
	}{
		{
			name:    "all sources at once, even if another one overrides",
			args:    []string{"--retry-max-attempts=11", "--verbose", "--log-level", "loud"},
			environ: []string{"SAMSARA_GATEWAY_RETRY_MAX_ATTEMPTS=abc", "SAMSARA_GATEWAY_RETRIES=3"},
			file:    "retry-max-attempts: many\ntimeout: 5s\n",
			want: []string{
				`--verbose (from the command line): no such flag`,
				`environment SAMSARA_GATEWAY_RETRIES: no such setting`,
				`FILE:2: "timeout": no such setting`,
				`--retry-max-attempts "many" (from FILE:1): not a whole number`,
				`--retry-max-attempts "abc" (from environment SAMSARA_GATEWAY_RETRY_MAX_ATTEMPTS): not a whole number`,
				`--retry-max-attempts "11" (from the command line): not between 1 and 10`,
				`--log-level "loud" (from the command line): not debug, info, warn or error`,
			},
		},
		{
			name: "several unknown flags, with values and without",
			args: []string{"--one", "--two=2", "--three", "3", "--listen", "127.0.0.1:5"},
			want: []string{
				"--one (from the command line): no such flag",
				"--two (from the command line): no such flag",
				"--three (from the command line): no such flag",
			},
		},
		{
			name: "a flag without its value", args: []string{"--insecure", "--listen"},
			want: []string{"--listen (from the command line): has no value"},
		},
		{
			name: "arguments that are no flags", args: []string{"a", "b"},
			want: []string{"command line: 2 arguments that are not flags"},
		},
		{
			name: "a flag with a single dash", args: []string{"-listen", "x"},
			want: []string{"command line: no flag has a single dash in front"},
		},
		{
			name: "a flag without a name", args: []string{"--=3"},
			want: []string{"command line: a flag without a name"},
		},
		{
			name: "flags behind those that pflag stops at", args: []string{"-listen", "x", "--=3", "--verbose", "--retry-max-attempts=abc", "-v", "--log-level", "-1"},
			want: []string{
				"command line: no flag has a single dash in front",
				"command line: a flag without a name",
				"--verbose (from the command line): no such flag",
				`--retry-max-attempts "abc" (from the command line): not a whole number`,
				`--log-level "-1" (from the command line): not debug, info, warn or error`,
			},
		},
		{
			name: "every element of a list", args: []string{"--quota-limits=samsara_gateway.tags.*=0/s,*=5/day", "--cache=a,b=1"},
			want: []string{
				`--quota-limits "samsara_gateway.tags.*=0/s,*=5/day" (from the command line): "samsara_gateway.tags.*=0/s": requests not between 1 and 100000`,
				`--quota-limits "samsara_gateway.tags.*=0/s,*=5/day" (from the command line): "*=5/day": window not a duration such as "250ms" or "5m"`,
				`--cache "a,b=1" (from the command line): "a": not of the form PATTERN=TIME`,
				`--cache "a,b=1" (from the command line): "b=1": not a duration such as "250ms" or "5m"`,
			},
		},
		{
			name: "patterns that match nothing, or nothing that is left",
			args: []string{"--quota-limits=samsara_gateway.nope.*=1/s,samsara_gateway.tags.*=1/s,*/CreateTag=2/s", "--cache=*/CreateTag=1s,*=2s,*/List*=3s"},
			want: []string{
				`--cache "*/CreateTag=1s,*=2s,*/List*=3s" (from the command line): "*/CreateTag=1s": matches no method that reads`,
				`--cache "*/CreateTag=1s,*=2s,*/List*=3s" (from the command line): "*/List*=3s": matches no method that reads, except those that patterns before it match`,
				`--quota-limits "samsara_gateway.nope.*=1/s,samsara_gateway.tags.*=1/s,*/CreateTag=2/s" (from the command line): "samsara_gateway.nope.*=1/s": matches no method`,
				`--quota-limits "samsara_gateway.nope.*=1/s,samsara_gateway.tags.*=1/s,*/CreateTag=2/s" (from the command line): "*/CreateTag=2/s": matches no method, except those that patterns before it match`,
			},
		},
		{
			name: "a second document", file: "log-level: info\n---\nlisten: x\n",
			want: []string{"FILE:2: a second document"},
		},
		{
			name: "a second document that is not YAML", file: "log-level: loud\n---\nlisten: [\n",
			want: []string{
				"FILE: not YAML: yaml: line 3: did not find expected node content",
				`--log-level "loud" (from FILE:1): not debug, info, warn or error`,
			},
		},
		{
			name: "tags, aliases and merges", file: "log-level: &a info\nlog-format: *a\nlisten: !secret x\n<<: *a\n",
			want: []string{
				"FILE:2: log-format: not a plain value",
				`FILE:3: listen: has the tag "!secret", which no setting takes`,
				`FILE:4: "<<": no such setting`,
			},
		},
		{
			name: "a folder for a file", args: []string{"--config", filepath.Dir(missing)},
			want: []string{"--config (from the command line): read " + filepath.Dir(missing) + ": is a directory"},
		},
		{
			name: "hosts and ports that there cannot be",
			args: []string{"--listen=127.0.0.256:1", "--admin-listen=a_b!:2", "--upstream-url=https://api..com", "--quota-redis=redis://h:70000"},
			want: []string{
				`--listen "127.0.0.256:1" (from the command line): host neither an IP address nor a name`,
				`--admin-listen "a_b!:2" (from the command line): host neither an IP address nor a name`,
				`--upstream-url "https://api..com" (from the command line): host neither an IP address nor a name`,
				`--quota-redis "redis://h:70000" (from the command line): port not between 1 and 65535`,
			},
		},
		{
			name: "a port of the upstream's that there cannot be", args: []string{"--upstream-url=https://api.samsara.com:99999"},
			want: []string{`--upstream-url "https://api.samsara.com:99999" (from the command line): port not between 1 and 65535`},
		},
		{
			name: "two listeners on one address", args: []string{"--listen=127.0.0.1:5000", "--admin-listen=127.0.0.1:5000"},
			want: []string{`--admin-listen "127.0.0.1:5000" (from the command line): the same as --listen "127.0.0.1:5000" (from the command line)`},
		},
		{
			name: "a caller weighed twice, an organization with braces, and a Redis without a number",
			args: []string{"--quota-weights=a=1,b=2,a=3", "--quota-organization={x}", "--quota-redis=redis://me:s3cr3t@redis/abc"},
			want: []string{
				`--quota-organization "{x}" (from the command line): holds a brace`,
				`--quota-redis "[redacted]@redis/abc" (from the command line): not a valid redis://, rediss:// or unix:// URL`,
				`--quota-weights "a=1,b=2,a=3" (from the command line): has "a" twice`,
			},
		},
		{
			name: "buckets that do not rise", args: []string{"--metrics-buckets=1,0.5"},
			want: []string{`--metrics-buckets "1,0.5" (from the command line): not in rising order`},
		},
		{
			name: "buckets of no time", args: []string{"--metrics-buckets=0,NaN"},
			want: []string{
				`--metrics-buckets "0,NaN" (from the command line): "0": not a number of seconds above 0, at most 3600`,
				`--metrics-buckets "0,NaN" (from the command line): "NaN": not a number of seconds above 0, at most 3600`,
			},
		},
		{
			name: "the token as a flag, a variable of the wrong name, or in the file, and never shown",
			args: []string{"--api-token", token}, environ: []string{"SAMSARA_GATEWAY_API_TOKEN=" + token},
			file: "api-token: " + token,
			want: []string{
				"--api-token (from the command line): no such flag; the token is read from the variable SAMSARA_API_TOKEN or from --api-token-file",
				"environment SAMSARA_GATEWAY_API_TOKEN: no such setting; the token is read from the variable SAMSARA_API_TOKEN or from --api-token-file",
				`FILE:1: "api-token": no such setting; the token is read from the variable SAMSARA_API_TOKEN or from --api-token-file`,
			},
		},
		{
			name: "a file that is not a mapping", file: "- listen\n",
			want: []string{"FILE:1: not a mapping of settings to values"},
		},
		{
			name: "a file that is not YAML", file: "listen: [\n",
			want: []string{"FILE: not YAML: yaml: line 1: did not find expected node content"},
		},
		{
			name: "a file that names a file", file: "config: other.yaml\n",
			want: []string{`FILE:1: "config": no such setting`},
		},
		{
			name: "a key twice, a key without value, and values that are not plain",
			file: "log-level: info\nlog-level: warn\nlisten:\ninsecure: [true]\nadmin-listen: {a: b}\n",
			want: []string{
				"FILE:2: log-level: is in line 1 already",
				"FILE:3: listen: has no value",
				"FILE:4: insecure: not a plain value",
				"FILE:5: admin-listen: not a plain value",
			},
		},
		{
			name: "a file that is missing", args: []string{"--config", missing},
			want: []string{"--config (from the command line): open " + missing + ": no such file or directory"},
		},
		{
			name: "plaintext beyond loopback", args: []string{"--listen", ":50051"}, environ: []string{"SAMSARA_GATEWAY_ADMIN_LISTEN=0.0.0.0:9464"},
			want: []string{
				`--listen ":50051" (from the command line): beyond loopback, which needs --tls-cert-file and --tls-key-file, or --insecure`,
				`--admin-listen "0.0.0.0:9464" (from environment SAMSARA_GATEWAY_ADMIN_LISTEN): beyond loopback, which needs --admin-tls-cert-file and --admin-tls-key-file, or --admin-insecure`,
			},
		},
		{
			name: "half of a key pair", args: []string{"--tls-cert-file", "cert.pem"},
			want: []string{"--tls-cert-file and --tls-key-file: one is given without the other"},
		},
		{
			name: "authorities of clients without TLS", args: []string{"--tls-client-ca-file", "ca.pem"},
			want: []string{`--tls-client-ca-file "ca.pem" (from the command line): has no effect without --tls-cert-file and --tls-key-file`},
		},
		{
			name: "the first wait longer than the longest", args: []string{"--retry-base-delay=30s"},
			want: []string{`--retry-base-delay "30s" (from the command line): more than --retry-max-delay "10s" (the default)`},
		},
		{
			name: "no room for one body of the largest size", args: []string{"--max-response-bytes=107MiB"},
			want: []string{`--max-in-flight-bytes "256MiB" (the default): less than 12/5 of --max-response-bytes "107MiB" (from the command line), which one such body needs`},
		},
		{
			name: "a token twice", args: []string{"--api-token-file", missing},
			want: []string{fmt.Sprintf("--api-token-file %q (from the command line): set, and so is SAMSARA_API_TOKEN: one of them must go", missing)},
		},
		{
			name: "the sandbox with a token and another upstream", args: []string{"--sandbox", "--upstream-url=https://api.samsara.com"},
			want: []string{
				`--upstream-url "https://api.samsara.com" (from the command line): cannot be combined with --sandbox`,
				"environment SAMSARA_API_TOKEN: set, but --sandbox takes no token",
			},
		},
		{
			name: "the sandbox's settings without it", args: []string{"--sandbox-seed=2"},
			want: []string{"--sandbox-seed and --sandbox-fault: have no effect without --sandbox"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			args := test.args
			path := "none"
			if test.file != "" {
				path = write(t, test.file)
				args = append([]string{"--config", path}, args...)
			}
			_, err := load(t, args, test.environ...)
			got := problems(t, err)
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], path, "FILE")
				if strings.Contains(got[i], token) {
					t.Errorf("a problem holds the token: %s", got[i])
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoad_refusedValues(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, value, want string }{
		{"listen", "", "not of the form HOST:PORT"},
		{"listen", "localhost", "not of the form HOST:PORT"},
		{"listen", "localhost:http", "port not between 0 and 65535"},
		{"listen", "localhost:65536", "port not between 0 and 65535"},
		{"insecure", "yes", "not true or false"},
		{"upstream-url", "api.samsara.com", "not of the form https://HOST"},
		{"upstream-url", "ftp://api.samsara.com", "not of the form https://HOST"},
		{"upstream-url", "https://", "not of the form https://HOST"},
		{"upstream-url", "http://api.samsara.com", "not https, which is needed beyond loopback because the token is sent"},
		{"upstream-url", "https://h/?a=b", "more than a scheme, a host and a path"},
		{"upstream-url", "https://h/#f", "more than a scheme, a host and a path"},
		{"upstream-url", "https://h h/", "not a URL"},
		{"api-version", "2025-13-01", "not a date of the form YYYY-MM-DD"},
		{"api-version", "latest", "not a date of the form YYYY-MM-DD"},
		{"upstream-timeout", "95", `not a duration such as "250ms" or "5m"`},
		{"upstream-timeout", "0s", "not between 1ms and 10m"},
		{"default-deadline", "2h", "not between 1s and 1h"},
		{"retry-max-attempts", "0", "not between 1 and 10"},
		{"retry-max-attempts", "99999999999999999999", "not between 1 and 10"},
		{"retry-max-attempts", "1.5", "not a whole number"},
		{"max-response-bytes", "64MB", `not a number of bytes such as "4096" or "64MiB"`},
		{"max-response-bytes", "2GiB", "not between 1KiB and 1GiB"},
		{"max-response-bytes", "9223372036854775807GiB", "not between 1KiB and 1GiB"},
		{"max-response-bytes", "-1", "not between 1KiB and 1GiB"},
		{"max-request-bytes", "", `not a number of bytes such as "4096" or "64MiB"`},
		{"sandbox-seed", "-1", "not a whole number between 0 and 2^64-1"},
		{"log-level", "INFO", "not debug, info, warn or error"},
		{"log-format", "xml", "not text or json"},
	} {
		t.Run(test.name+"="+test.value, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, []string{"--" + test.name + "=" + test.value})
			want := []string{fmt.Sprintf("--%s %q (from the command line): %s", test.name, test.value, test.want)}
			if diff := cmp.Diff(want, problems(t, err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoad_takenValues(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, value string }{
		{"listen", "localhost:0"},
		{"listen", "[::1]:50051"},
		{"admin-listen", ""},
		{"upstream-url", "http://127.0.0.1:8080/prefix"},
		{"upstream-url", "http://localhost"},
		{"upstream-url", "https://api.ca.samsara.com"},
		{"retry-max-attempts", "10"},
		{"max-response-bytes", "106MiB"},
	} {
		if c := mustLoad(t, []string{"--" + test.name + "=" + test.value}); logged(t, c)[test.name] != test.value {
			t.Errorf("--%s=%s was taken as %q", test.name, test.value, logged(t, c)[test.name])
		}
	}
}

func TestLoad_urlCredentialsAreNotShown(t *testing.T) {
	t.Parallel()
	_, err := load(t, []string{"--upstream-url=https://me:" + token + "@api.samsara.com"})
	want := []string{`--upstream-url "[redacted]@api.samsara.com" (from the command line): more than a scheme, a host and a path`}
	if diff := cmp.Diff(want, problems(t, err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoad_tokenFromVariableOrFile(t *testing.T) {
	t.Parallel()
	file := write(t, token)
	for _, test := range []struct {
		name    string
		args    []string
		environ []string
		want    []string
	}{
		{"from the variable", nil, []string{"SAMSARA_API_TOKEN= " + token + "\n"}, nil},
		{"from a file", []string{"--api-token-file", file}, nil, nil},
		{"from a file named by a variable", nil, []string{"SAMSARA_GATEWAY_API_TOKEN_FILE=" + file}, nil},
		{"from neither", nil, nil, []string{"no API token: set SAMSARA_API_TOKEN or --api-token-file, or try --sandbox"}},
		{"not needed by the sandbox", []string{"--sandbox"}, nil, nil},
		{"not taken by the sandbox", []string{"--sandbox", "--api-token-file=" + file}, nil, []string{
			fmt.Sprintf("--api-token-file %q (from the command line): set, but --sandbox takes no token", file),
		}},
		{"with a character no header can hold", nil, []string{"SAMSARA_API_TOKEN=a\u00e9b"}, []string{
			"environment SAMSARA_API_TOKEN: holds a character that is not printable ASCII",
		}},
		{"of more than a header holds", nil, []string{"SAMSARA_API_TOKEN=" + strings.Repeat("a", 8<<10+1)}, []string{
			"environment SAMSARA_API_TOKEN: holds more than 8KiB",
		}},
	} {
		_, err := config.Load(test.args, test.environ, api())
		if diff := cmp.Diff(test.want, problems(t, err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestLoad_checks(t *testing.T) {
	t.Parallel()
	check := func(c *config.Config) []config.Problem {
		return []config.Problem{{Setting: "api-token-file", Err: errors.New("no good")}, {Setting: "listen", Err: errors.New("is " + c.Listen)}}
	}
	_, err := config.Load([]string{"--api-token-file=token", "--retry-max-attempts=x"}, nil, api(), check)
	want := []string{
		`--retry-max-attempts "x" (from the command line): not a whole number`,
		`--api-token-file "token" (from the command line): no good`,
		`--listen "127.0.0.1:50051" (the default): is 127.0.0.1:50051`,
	}
	if diff := cmp.Diff(want, problems(t, err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestSecret_neverShown(t *testing.T) {
	t.Parallel()
	s := config.NewSecret(token)
	encoded, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s), fmt.Sprintf("%+v %#v", config.Config{APIToken: s}, config.Config{APIToken: s}), string(encoded),
	} {
		if strings.Contains(shown, token) || !strings.Contains(shown, "[redacted]") {
			t.Errorf("shown as %s", shown)
		}
	}
	if s.Reveal() != token || (config.Secret{}).String() != "" {
		t.Errorf("Reveal = %q, an empty secret is shown as %q", s.Reveal(), config.Secret{})
	}
}

func TestUsage_everySettingWithin100Columns(t *testing.T) {
	t.Parallel()
	usage := config.Usage()
	for line := range strings.Lines(usage) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 100 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	// Lines may break anywhere between words.
	words := strings.Join(strings.Fields(usage), " ")
	for _, name := range config.Names() {
		if !strings.Contains(words, "--"+name+" ") || !strings.Contains(words, "["+config.Variable(name)+"]") {
			t.Errorf("%s is missing", name)
		}
	}
	for _, arg := range []string{"--help", "-h"} {
		if _, err := load(t, []string{arg, "--nonsense"}); !errors.Is(err, pflag.ErrHelp) {
			t.Errorf("%s: got %v, want pflag.ErrHelp", arg, err)
		}
	}
}

func TestLoadSandbox_ownFlags(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		args []string
		want config.Sandbox
		err  []string
	}{
		{"defaults", nil, config.Sandbox{Listen: "127.0.0.1:8080", Token: "sandbox", Seed: 1, Fleet: 12, LogFormat: config.LogText}, nil},
		{
			"everything set",
			[]string{"--listen=0.0.0.0:1", "--insecure", "--token", "t", "--seed=7", "--fleet=1000", "--page-size=512", "--rate-limits", "--fault", "status=503", "--fault=reset", "--log-level=debug", "--log-format=json"},
			config.Sandbox{
				Listen: "0.0.0.0:1", Insecure: true, Token: "t", Seed: 7, Fleet: 1000, PageSize: 512, RateLimits: true,
				Faults: []sandbox.Fault{{Status: 503}, {Reset: true}}, LogLevel: slog.LevelDebug, LogFormat: config.LogJSON,
			},
			nil,
		},
		{"everything wrong", []string{"--listen=0.0.0.0:1", "--token=", "--seed=x", "--fleet=0", "--page-size=1025", "--sandbox"}, config.Sandbox{}, []string{
			"--sandbox (from the command line): no such flag",
			`--seed "x" (from the command line): not a whole number between 0 and 2^64-1`,
			`--fleet "0" (from the command line): not between 1 and 100000`,
			`--page-size "1025" (from the command line): not between 0 and 1024`,
			`--token "" (from the command line): empty`,
			`--listen "0.0.0.0:1" (from the command line): beyond loopback, and plaintext: needs --insecure`,
		}},
	} {
		got, err := config.LoadSandbox(test.args, api())
		if diff := cmp.Diff(test.err, problems(t, err)); diff != "" {
			t.Errorf("%s: problems (-want +got):\n%s", test.name, diff)
		}
		if err == nil {
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
		}
	}
	if _, err := config.LoadSandbox([]string{"--help"}, api()); !errors.Is(err, pflag.ErrHelp) {
		t.Errorf("--help: got %v, want pflag.ErrHelp", err)
	}
}

func TestFaults_replaceThoseOfLowerSource(t *testing.T) {
	t.Parallel()
	file := write(t, "sandbox: true\nsandbox-fault: [status=500, reset]\n")
	for _, test := range []struct {
		name    string
		args    []string
		environ []string
		want    []sandbox.Fault
	}{
		{"the file's list", nil, nil, []sandbox.Fault{{Status: 500}, {Reset: true}}},
		{"the environment's, separated by commas", nil, []string{"SAMSARA_GATEWAY_SANDBOX_FAULT=status=503, truncate"}, []sandbox.Fault{{Status: 503}, {Truncate: true}}},
		{
			"the flags, repeated",
			[]string{"--sandbox-fault=status=400", "--sandbox-fault=latency=1s"},
			[]string{"SAMSARA_GATEWAY_SANDBOX_FAULT=status=503"},
			[]sandbox.Fault{{Status: 400}, {Latency: time.Second}},
		},
	} {
		c, err := config.Load(append(test.args, "--config", file), test.environ, api())
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, c.SandboxFaults); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestFaults_unknownPaths(t *testing.T) {
	t.Parallel()
	args := func(flag string) []string {
		return []string{
			flag, "status=503; match=/flet/*", flag, "reset; match=/fleet/vehicles/7", flag, "reset; match=/tags/*",
			flag, "reset; match=/fleet/vehicles/7/stats", flag, "reset; match=/fl*", flag, "reset; match=/*", flag, "reset",
		}
	}
	_, gatewayErr := config.Load(append(args("--sandbox-fault"), "--sandbox"), nil, api())
	_, sandboxErr := config.LoadSandbox(args("--fault"), api())
	for _, err := range []error{gatewayErr, sandboxErr} {
		var got []string
		for _, problem := range problems(t, err) {
			_, rule, _ := strings.Cut(problem, "(from the command line): ")
			got = append(got, rule)
		}
		want := []string{
			`"status=503; match=/flet/*": matches no path`,
			`"reset; match=/fleet/vehicles/7": matches no path`,
			`"reset; match=/tags/*": matches no path`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
	}
}
