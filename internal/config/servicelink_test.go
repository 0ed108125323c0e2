package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/config"
)

// links returns the variables that Kubernetes sets for a Service that has one port with a name. service is
// the name of the Service, in the form of variables.
func links(service, port, protocol, upper, portName string) map[string]string {
	url := protocol + "://10.0.0.7:" + port
	of := service + "_PORT_" + port + "_" + upper
	return map[string]string{
		service + "_SERVICE_HOST":             "10.0.0.7",
		service + "_SERVICE_PORT":             port,
		service + "_SERVICE_PORT_" + portName: port,
		service + "_PORT":                     url,
		of:                                    url,
		of + "_PROTO":                         protocol,
		of + "_PORT":                          port,
		of + "_ADDR":                          "10.0.0.7",
	}
}

func TestEnvironment_serviceLinksArePassedOver(t *testing.T) {
	t.Parallel()
	want := mustLoad(t, nil)
	for _, of := range []map[string]string{
		links("SAMSARA_GATEWAY", "50051", "tcp", "TCP", "GRPC"),
		links("SAMSARA_GATEWAY", "50051", "udp", "UDP", "_8080_TCP"), // a port called 8080-tcp
		links("SAMSARA_GATEWAY_ADMIN", "9464", "tcp", "TCP", "HTTP_METRICS"),
		links("SAMSARA_GATEWAY_LISTEN", "9464", "sctp", "SCTP", "HTTP"), // whose name begins as a setting's
		{"SAMSARA_GATEWAY_PORT": "tcp://[fd00::7]:50051"},
	} {
		for name, value := range of {
			if diff := diffConfigs(want, mustLoad(t, nil, name+"="+value)); diff != "" {
				t.Errorf("%s=%s changes the configuration (-want +got):\n%s", name, value, diff)
			}
		}
	}
}

func TestEnvironment_misspeltSetting(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"SAMSARA_GATEWAY_LISTN":              "127.0.0.1:1",
		"SAMSARA_GATEWAY_PORT":               "8080",
		"SAMSARA_GATEWAY_LISTEN_PORT":        "8080",
		"SAMSARA_GATEWAY_SERVICE":            "10.0.0.7",
		"SAMSARA_GATEWAY_PORT_TCP":           "50051",
		"SAMSARA_GATEWAY_PORT_50051_QUIC":    "quic://10.0.0.7:50051",
		"SAMSARA_GATEWAY_PORT_50051_TCP_URL": "tcp://10.0.0.7:50051",
		"SAMSARA_GATEWAY_":                   "tcp://10.0.0.7:50051",
	} {
		_, err := load(t, nil, name+"="+value)
		if diff := cmp.Diff([]string{"environment " + name + ": no such setting"}, problems(t, err)); diff != "" {
			t.Errorf("%s=%s (-want +got):\n%s", name, value, diff)
		}
	}
}

// A setting of such a name could not be told from a Service.
func TestServiceLinks_noSettingHasTheForm(t *testing.T) {
	t.Parallel()
	for _, name := range config.Names() {
		for _, value := range []string{"", "tcp://10.0.0.7:50051"} {
			if config.IsServiceLink(config.Variable(name) + "=" + value) {
				t.Errorf("setting %s is %s=%q in the environment, as of a Service", name, config.Variable(name), value)
			}
		}
	}
}
