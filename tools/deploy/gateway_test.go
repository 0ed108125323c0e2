package deploy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// gateway returns the gateway that make has built.
func gateway(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("SAMSARA_TEST_BIN")
	if folder == "" {
		t.Fatal("SAMSARA_TEST_BIN does not say where the gateway is: see make test-deploy")
	}
	return filepath.Join(folder, "gateway")
}

// run runs the gateway with an environment of its own, and returns what it printed.
func run(t *testing.T, environ []string, args ...string) (printed string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), gateway(t), args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, environ...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestConfiguration_ofEveryOverlay has the gateway check the configuration that its container would get, with files in
// the places of those that are mounted: it knows no setting that there is not.
func TestConfiguration_ofEveryOverlay(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays() {
		t.Run(overlay, func(t *testing.T) {
			t.Parallel()
			m := build(t, "overlays/"+overlay)
			d := find[appsv1.Deployment](t, m, "Deployment", name)
			c := only(t, d)
			var environ []string
			mounted := mount(t, m, &d.Spec.Template.Spec, c)
			for key, value := range environment(t, m, c) {
				for at, folder := range mounted {
					if rest, ok := strings.CutPrefix(value, at+"/"); ok {
						value = filepath.Join(folder, rest)
					}
				}
				environ = append(environ, key+"="+value)
			}
			if printed, err := run(t, environ, append([]string{"config", "check"}, c.Args...)...); err != nil {
				t.Errorf("config check: %v\n%s", err, printed)
			}
			// What is wrong would be found.
			if _, err := run(t, append(environ, "SAMSARA_GATEWAY_NO_SUCH_SETTING=1"), "config", "check"); err == nil {
				t.Error("a setting that does not exist is accepted")
			}
		})
	}
}

// mount writes what each volume of a pod has, and returns its folder by the path at which it is mounted.
func mount(t *testing.T, m manifests, pod *corev1.PodSpec, c *corev1.Container) map[string]string {
	t.Helper()
	folders := make(map[string]string)
	for _, v := range pod.Volumes {
		files := make(map[string]string)
		switch {
		case v.ConfigMap != nil:
			files = find[corev1.ConfigMap](t, m, "ConfigMap", v.ConfigMap.Name).Data
		case v.Projected != nil:
			for _, source := range v.Projected.Sources {
				if token := source.ServiceAccountToken; token != nil {
					files[token.Path] = "token"
				}
				if source.ConfigMap != nil {
					for _, item := range source.ConfigMap.Items {
						files[item.Path], _ = pair(t)
					}
				}
			}
		case strings.HasSuffix(v.Secret.SecretName, "-tls"):
			files["tls.crt"], files["tls.key"] = pair(t)
		default:
			files["token"] = "samsara-token"
		}
		folders[v.Name] = t.TempDir()
		for file, content := range files {
			if err := os.WriteFile(filepath.Join(folders[v.Name], file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	at := make(map[string]string)
	for _, mounted := range c.VolumeMounts {
		at[mounted.MountPath] = folders[mounted.Name]
	}
	return at
}

// pair returns a certificate and its key, in PEM.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway"}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"gateway.test"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", keyDER)
}

// checkCommand checks that a probe's command is the image's gateway, that it has the flags, and that it ends before kubelet
// loses its patience.
func checkCommand(t *testing.T, command []string, patience time.Duration) {
	t.Helper()
	if len(command) < 2 || command[0] != "/gateway" || command[1] != "health" {
		t.Fatalf("the probe runs %q", command)
	}
	// The end of a probe's wait is beyond what it waits for itself, and here nobody answers.
	printed, err := run(t, []string{"SAMSARA_GATEWAY_LISTEN=127.0.0.1:1"}, command[1:]...)
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 { //nolint:errorlint // exec returns it as it is
		t.Errorf("%q: %v, want exit code 1\n%s", command, err, printed)
	}
	for _, arg := range command {
		if text, ok := strings.CutPrefix(arg, "--timeout="); ok {
			if limit, err := time.ParseDuration(text); err != nil || limit >= patience {
				t.Errorf("it waits %s (%v), and kubelet %v", text, err, patience)
			}
		}
	}
}
