package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/internal/config"
)

func TestCallers_everySetting(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, []string{
		"--tls-cert-file=c", "--tls-key-file=k", "--tls-client-ca-file=a", "--tls-client-auth=optional",
		"--jwt-issuer=https://issuer.test", "--jwt-audience=one,two", "--jwt-audience=three", "--jwt-jwks-url=https://issuer.test/keys",
		"--jwt-jwks-ca-file=ca", "--jwt-jwks-token-file=token", "--jwt-clock-skew=5s",
	})
	if c.TLSClientAuth != config.ClientAuthOptional || c.JWTIssuer != "https://issuer.test" || c.JWTKeysURL.String() != "https://issuer.test/keys" ||
		c.JWTKeysCAFile != "ca" || c.JWTKeysTokenFile != "token" || c.JWTClockSkew != 5*time.Second {
		t.Errorf("got %+v", c)
	}
	if diff := cmp.Diff([]string{"one", "two", "three"}, c.JWTAudiences); diff != "" {
		t.Errorf("audiences (-want +got):\n%s", diff)
	}
	if got := logged(t, c)["jwt-jwks-url"]; got != "https://issuer.test/keys" {
		t.Errorf("logged as %q", got)
	}
	if c := mustLoad(t, []string{"--jwt-issuer=i", "--jwt-audience=a", "--jwt-jwks-file=keys"}); c.JWTKeysFile != "keys" {
		t.Errorf("got %+v", c)
	}
}

func TestCallers_refused(t *testing.T) {
	t.Parallel()
	const from = " (from the command line): "
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"nobody's authority": {[]string{"--tls-client-auth=optional"}, []string{`--tls-client-auth "optional"` + from + "has no effect without --tls-client-ca-file"}},
		"no issuer": {[]string{"--jwt-audience=a", "--jwt-jwks-file=f", "--jwt-clock-skew=1s"}, []string{
			`--jwt-audience "a"` + from + "has no effect without --jwt-issuer",
			`--jwt-jwks-file "f"` + from + "has no effect without --jwt-issuer",
			`--jwt-clock-skew "1s"` + from + "has no effect without --jwt-issuer",
		}},
		"an issuer alone": {[]string{"--jwt-issuer=i"}, []string{
			`--jwt-issuer "i"` + from + "needs --jwt-audience, or the tokens for every other service would be accepted",
			`--jwt-issuer "i"` + from + "needs --jwt-jwks-file or --jwt-jwks-url",
		}},
		"two places of keys": {[]string{"--jwt-issuer=i", "--jwt-audience=a", "--jwt-jwks-file=f", "--jwt-jwks-url=https://h/k"}, []string{
			`--jwt-jwks-file "f"` + from + `set, and so is --jwt-jwks-url "https://h/k"` + " (from the command line): one of them must go",
		}},
		"an authority for a file": {[]string{"--jwt-issuer=i", "--jwt-audience=a", "--jwt-jwks-file=f", "--jwt-jwks-ca-file=c"}, []string{
			`--jwt-jwks-ca-file "c"` + from + "has no effect without --jwt-jwks-url",
		}},
		"keys in plaintext": {[]string{"--jwt-issuer=i", "--jwt-audience=a", "--jwt-jwks-url=http://h/k"}, []string{
			`--jwt-jwks-url "http://h/k"` + from + "must be https beyond this machine: whoever can change the keys can be anybody",
			`--jwt-issuer "i"` + from + "needs --jwt-jwks-file or --jwt-jwks-url",
		}},
		"an empty audience": {[]string{"--jwt-issuer=i", "--jwt-audience=a,,b", "--jwt-jwks-file=f"}, []string{
			`--jwt-audience "a,,b"` + from + "must not be empty", `--jwt-issuer "i"` + from + "needs --jwt-audience, or the tokens for every other service would be accepted",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, test.args)
			if diff := cmp.Diff(test.want, problems(t, err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
