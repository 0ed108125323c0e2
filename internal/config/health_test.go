package config_test

import (
	"strings"
	"testing"
	"time"

	"samsara.internal/gateway/internal/config"
)

func TestLoadHealth_besideTheGateway(t *testing.T) {
	t.Parallel()
	secured := []string{"SAMSARA_GATEWAY_LISTEN=:50051", "SAMSARA_GATEWAY_TLS_CERT_FILE=c.pem", "SAMSARA_GATEWAY_TLS_KEY_FILE=k.pem"}
	mutual := append(secured, "SAMSARA_GATEWAY_TLS_CLIENT_CA_FILE=a.pem")
	for _, test := range []struct {
		name    string
		args    []string
		environ []string
		want    config.Health
	}{
		{"defaults", nil, nil, config.Health{Address: "127.0.0.1:50051"}},
		{"an address of its own", []string{"--listen=10.0.0.7:1"}, nil, config.Health{Address: "10.0.0.7:1"}},
		{"everywhere", nil, []string{"SAMSARA_GATEWAY_LISTEN=[::]:7"}, config.Health{Address: "127.0.0.1:7"}},
		{"secured", nil, secured, config.Health{Address: "127.0.0.1:50051", TLS: true}},
		{"mutual", nil, mutual, config.Health{Address: "127.0.0.1:50051", TLS: true, CertFile: "c.pem", KeyFile: "k.pem"}},
		{"certificates of clients are optional", nil, append(mutual, "SAMSARA_GATEWAY_TLS_CLIENT_AUTH=optional"), config.Health{Address: "127.0.0.1:50051", TLS: true}},
		{"another certificate", []string{"--cert-file=x.pem", "--key-file=y.pem"}, mutual, config.Health{Address: "127.0.0.1:50051", TLS: true, CertFile: "x.pem", KeyFile: "y.pem"}},
		{"what is wrong elsewhere", nil, []string{"SAMSARA_GATEWAY_QUOTA=perhaps", "SAMSARA_GATEWAY_NOTHING=1"}, config.Health{Address: "127.0.0.1:50051"}},
	} {
		got, err := config.LoadHealth(test.args, test.environ)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got.Address != test.want.Address || got.TLS != test.want.TLS || got.CertFile != test.want.CertFile ||
			got.KeyFile != test.want.KeyFile || !got.Beside || got.Timeout != time.Second {
			t.Errorf("%s: got %+v", test.name, got)
		}
	}
}

func TestLoadHealth_address(t *testing.T) {
	t.Parallel()
	got, err := config.LoadHealth([]string{"--address=gateway.test:50051", "--timeout=3s"}, []string{
		"SAMSARA_GATEWAY_TLS_CERT_FILE=c.pem", "SAMSARA_GATEWAY_TLS_KEY_FILE=k.pem", "SAMSARA_GATEWAY_CONFIG=missing.yaml",
	})
	if err != nil || got.Address != "gateway.test:50051" || got.TLS || got.Beside || got.Timeout != 3*time.Second {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestLoadHealth_refused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args    []string
		environ []string
		want    string
	}{
		{[]string{"--address=gateway"}, nil, "not of the form HOST:PORT"},
		{[]string{"--timeout=2m"}, nil, "--timeout"},
		{[]string{"--tls"}, nil, "has no effect without --address"},
		{[]string{"--address=a:1", "--ca-file=a.pem"}, nil, "has no effect without TLS"},
		{[]string{"--address=a:1", "--tls", "--cert-file=a.pem"}, nil, "one is given without the other"},
		{[]string{"now"}, nil, "arguments that are not flags"},
		{[]string{"--verbose"}, nil, "--verbose"},
		{nil, []string{"SAMSARA_GATEWAY_CONFIG=missing.yaml"}, "missing.yaml"},
		{nil, []string{"SAMSARA_GATEWAY_LISTEN=nowhere"}, "not of the form HOST:PORT"},
		{[]string{"--config=" + write(t, "listen: [")}, nil, "not YAML"},
	} {
		_, err := config.LoadHealth(test.args, test.environ)
		if problems := problems(t, err); len(problems) != 1 || !strings.Contains(problems[0], test.want) {
			t.Errorf("%v %v: got %q, want one problem with %q", test.args, test.environ, problems, test.want)
		}
	}
}
