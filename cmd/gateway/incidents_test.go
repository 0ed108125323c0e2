package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	locationandspeedv1 "samsara.internal/gateway/gen/location_and_speed/v1"
	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	vehiclesv1 "samsara.internal/gateway/gen/vehicles/v1"
	"samsara.internal/gateway/internal/testenv"
)

// timeFactor is by how much every time in the rules is shortened.
const timeFactor = 30

// fasterRules returns the rules with every time divided by timeFactor.
func fasterRules(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	times := regexp.MustCompile(`(for: |interval: |\[)(\d+[smh])`)
	text := times.ReplaceAllStringFunc(string(content), func(found string) string {
		parts := times.FindStringSubmatch(found)
		d, err := time.ParseDuration(parts[2])
		if err != nil {
			t.Fatal(err)
		}
		return parts[1] + strconv.FormatInt((d/timeFactor).Milliseconds(), 10) + "ms"
	})
	thresholds := regexp.MustCompile(`(\d+) # seconds`)
	return thresholds.ReplaceAllStringFunc(text, func(found string) string {
		n, err := strconv.ParseFloat(thresholds.FindStringSubmatch(found)[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return strconv.FormatFloat(n/timeFactor, 'g', -1, 64)
	})
}

// prometheus is a Prometheus of the test's own with faster rules.
type prometheus struct{ url string }

// startPrometheus runs Debian's Prometheus, which scrapes an admin address. The end of the test kills it.
func startPrometheus(t *testing.T, admin string) prometheus {
	t.Helper()
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	interval := (15 * time.Second / timeFactor).Milliseconds()
	config := write("prometheus.yaml", fmt.Sprintf("global: {scrape_interval: %dms, scrape_timeout: %dms, evaluation_interval: %dms}\nrule_files: [%s]\n"+
		"scrape_configs: [{job_name: samsara-gateway, static_configs: [{targets: [%q]}]}]\n",
		interval, interval, interval, write("rules.yaml", fasterRules(t)), admin))
	address := "127.0.0.1:" + testenv.Port(t)
	cmd := exec.CommandContext(t.Context(), testenv.Tool(t, "prometheus"), "--config.file="+config,
		"--storage.tsdb.path="+folder+"/data", "--web.listen-address="+address, "--enable-feature=native-histograms", "--log.level=error")
	var text strings.Builder
	cmd.Stdout, cmd.Stderr = &text, &text
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // It is killed.
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // It may have ended.
		<-ended
		if text.Len() > 0 {
			t.Logf("prometheus:\n%s", text.String())
		}
	})
	p := prometheus{"http://" + address}
	eventually(t, "the gateway was scraped", func() bool {
		select {
		case <-ended:
			t.Fatal("prometheus ended")
		default:
		}
		return len(p.query(`up == 1`)) == 1
	})
	return p
}

// query returns the labels of what an expression comes to; none if Prometheus does not answer.
func (p prometheus) query(expr string) (found []map[string]string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Get(p.url + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Data struct {
			Result []struct{ Metric map[string]string }
		}
	}
	if json.NewDecoder(resp.Body).Decode(&answer) != nil {
		return nil
	}
	for _, result := range answer.Data.Result {
		found = append(found, result.Metric)
	}
	return found
}

// firing returns the names of the alerts that fire, each once.
func (p prometheus) firing() []string {
	var names []string
	for _, alert := range p.query(`ALERTS{alertstate="firing"}`) {
		names = append(names, alert["alertname"])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// incident is a gateway with a load, which something happens to.
type incident struct {
	alert string
	// labels are some of the alert's.
	labels map[string]string
	// start starts the gateway, and returns its addresses and what a client does without end, with as many workers.
	start func(t *testing.T) (at logLine, load func(ctx context.Context) error)
	// fault makes it happen. over ends what goes on by itself; nil: the end of the test does.
	fault func(t *testing.T, at logLine) (over func())
	// afterwards is a question that is asked when it is over, and want what its answer has.
	afterwards, want string
}

// run stages an incident, and returns the time from fault to alert.
func (i incident) run(t *testing.T) {
	t.Helper()
	at, call := i.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	t.Cleanup(func() { cancel(); load.Wait() })
	work := func(workers int, pause time.Duration, call func(ctx context.Context) error) {
		for range workers {
			load.Go(func() {
				for ctx.Err() == nil {
					within, done := context.WithTimeout(ctx, patience)
					_ = call(within) // What callers see is no part of this.
					done()
					select {
					case <-time.After(pause):
					case <-ctx.Done():
					}
				}
			})
		}
	}
	work(4, 100*time.Millisecond, call)
	p := startPrometheus(t, at.Admin)
	seen := make(map[string]bool)
	look := func() bool {
		for _, name := range p.firing() {
			seen[name] = true
		}
		return seen[i.alert]
	}
	// As long as the longest window and the longest wait of an alert that pages, so that what is wrong with the load shows.
	for quiet := time.Now().Add(5 * time.Minute / timeFactor); time.Now().Before(quiet); <-time.After(100 * time.Millisecond) {
		if look(); len(seen) > 0 {
			t.Fatalf("before anything has happened %v fire", seen)
		}
	}
	began := time.Now()
	over := i.fault(t, at)
	for !look() {
		if time.Since(began) > 2*patience {
			t.Fatalf("%s does not fire; %v do, and pending are %v", i.alert, seen, p.query(`ALERTS{alertstate="pending"}`))
		}
		<-time.After(100 * time.Millisecond)
	}
	took := time.Since(began)
	var matchers []string
	for name, value := range i.labels {
		matchers = append(matchers, fmt.Sprintf("%s=%q", name, value))
	}
	if found := p.query(fmt.Sprintf(`ALERTS{alertname=%q,%s}`, i.alert, strings.Join(matchers, ","))); len(found) == 0 {
		t.Errorf("%s fires without %v: %v", i.alert, i.labels, p.query("ALERTS"))
	}
	for later := time.Now().Add(3 * time.Minute / timeFactor); time.Now().Before(later); <-time.After(100 * time.Millisecond) {
		look()
	}
	if len(seen) != 1 {
		t.Errorf("%v fire, want %s alone", seen, i.alert)
	}
	t.Logf("%s: %v from fault to alert; %v with times as they are in the rules", i.alert, took.Round(100*time.Millisecond), (took * timeFactor).Round(time.Second))
	if over != nil {
		over()
	}
	if i.afterwards != "" {
		out, err := output(t, "promtool", "query", "instant", p.url, i.afterwards)
		if err != nil || !strings.Contains(out, i.want) {
			t.Errorf("afterwards %s: %v\n%s\nwant %s", i.afterwards, err, out, i.want)
		}
		t.Logf("afterwards: promtool query instant %s '%s'\n%s", p.url, i.afterwards, out)
	}
}

// listTags reads tags, each call by a request of its own.
func listTags(conn *grpc.ClientConn, also ...string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		ctx = metadata.AppendToOutgoingContext(ctx, append([]string{"samsara-cache", "no-store"}, also...)...)
		_, err := tagsv1.NewTagsServiceClient(conn).ListTags(ctx, &tagsv1.ListTagsRequest{})
		return err
	}
}

// faulty is a load whose calls have a fault of the sandbox once it is stored.
func faulty(fault *atomic.Value) func(t *testing.T) (logLine, func(context.Context) error) {
	return func(t *testing.T) (logLine, func(context.Context) error) {
		t.Helper()
		_, at := startSandboxed(t)
		conn := connect(t, at.GRPC, insecure.NewCredentials())
		return at, func(ctx context.Context) error {
			if f, _ := fault.Load().(string); f != "" {
				return listTags(conn, "samsara-sandbox-fault", f)(ctx)
			}
			return listTags(conn)(ctx)
		}
	}
}

func TestIncidents_samsaraSlow(t *testing.T) {
	t.Parallel()
	testenv.Incidents(t)
	var fault atomic.Value
	incident{
		alert: "SamsaraGatewaySamsaraSlow", labels: map[string]string{"organization": "default", "culprit": "samsara"}, start: faulty(&fault),
		fault:      func(*testing.T, logLine) func() { fault.Store("latency=3s"); return nil },
		afterwards: "topk(1, increase(samsara_gateway_operation_upstream_seconds_total[10s]) / (increase(samsara_gateway_operation_upstream_attempts_total[10s]) > 0))",
		want:       `operation="TagsService/ListTags"`,
	}.run(t)
}

func TestIncidents_samsaraThrottles(t *testing.T) {
	t.Parallel()
	testenv.Incidents(t)
	var fault atomic.Value
	incident{
		alert: "SamsaraGatewayThrottled", labels: map[string]string{"organization": "default", "culprit": "samsara"}, start: faulty(&fault),
		fault:      func(*testing.T, logLine) func() { fault.Store("status=429; retry-after=0.5; share=0.5"); return nil },
		afterwards: `sum by (class) (increase(samsara_gateway_upstream_attempts_total{class!="2xx"}[1m])) > 0`,
		want:       `class="429"`,
	}.run(t)
}

// TestIncidents_callerHammers has a caller of a policy use up the quota beside another one.
func TestIncidents_callerHammers(t *testing.T) {
	t.Parallel()
	testenv.Incidents(t)
	hash := func(token string) string { sum := sha256.Sum256([]byte(token)); return hex.EncodeToString(sum[:]) }
	of := func(token string) []string { return []string{"authorization", "Bearer " + token} }
	good, bad := strings.Repeat("g", 40), strings.Repeat("b", 40)
	incident{
		alert: "SamsaraGatewayCallerHammers", labels: map[string]string{"caller": "reports", "culprit": "caller"},
		start: func(t *testing.T) (logLine, func(context.Context) error) {
			t.Helper()
			_, at := startSandboxed(t, "--quota-token-limit=50/s", "--quota-max-wait=1s",
				"--caller-tokens-file="+tokenFile(t, "web: "+hash(good)+"\nnightly: "+hash(bad)+"\n"),
				"--policy-file="+tokenFile(t, "groups: {reports: [\"token:nightly\"]}\nrules: [{name: all, identities: [\"token:web\", \"group:reports\"], methods: [\"*\"], effect: allow}]\n"))
			return at, listTags(connect(t, at.GRPC, insecure.NewCredentials()), of(good)...)
		},
		fault: func(t *testing.T, at logLine) func() {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			call := listTags(connect(t, at.GRPC, insecure.NewCredentials()), of(bad)...)
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					for ctx.Err() == nil {
						_ = call(ctx)
						<-time.After(50 * time.Millisecond) // What is refused comes back at once.
					}
				})
			}
			over := func() { cancel(); all.Wait() }
			t.Cleanup(over)
			return over
		},
		afterwards: "topk(1, sum by (caller) (increase(samsara_gateway_caller_calls_total[1m])))",
		want:       `caller="reports"`,
	}.run(t)
}

// TestIncidents_tokenRevoked gives the gateway a token that the sandbox does not know.
func TestIncidents_tokenRevoked(t *testing.T) {
	t.Parallel()
	testenv.Incidents(t)
	file := tokenFile(t, "open")
	incident{
		alert: "SamsaraGatewayTokenRefused", labels: map[string]string{"organization": "default", "culprit": "operator"},
		start: func(t *testing.T) (logLine, func(context.Context) error) {
			t.Helper()
			box, _ := startSandbox(t)
			_, at := startBefore(t, flagsAt(box.await(t, "serving").Sandbox, file))
			return at, listTags(connect(t, at.GRPC, insecure.NewCredentials()))
		},
		fault:      func(t *testing.T, _ logLine) func() { t.Helper(); replace(t, file, "revoked"); return nil },
		afterwards: `sum by (class) (increase(samsara_gateway_upstream_attempts_total{class!="2xx"}[1m])) > 0`,
		want:       `class="401"`,
	}.run(t)
}

// TestIncidents_certificateExpires replaces a certificate of two months by one of five days.
func TestIncidents_certificateExpires(t *testing.T) {
	t.Parallel()
	testenv.Incidents(t)
	authority := newTestAuthority(t)
	issue := func(days int) (cert, key string) {
		_, private, text := authority.issue(t, &x509.Certificate{
			DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, days),
		})
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		return text, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	cert, key := issue(60)
	certFile, keyFile := tokenFile(t, cert), tokenFile(t, key)
	trust := x509.NewCertPool()
	trust.AddCert(authority.cert)
	incident{
		alert: "SamsaraGatewayCertificateExpires", labels: map[string]string{"certificate": "server", "culprit": "operator"},
		start: func(t *testing.T) (logLine, func(context.Context) error) {
			t.Helper()
			_, at := startSandboxed(t, "--tls-cert-file="+certFile, "--tls-key-file="+keyFile)
			return at, listTags(connect(t, at.GRPC, credentials.NewClientTLSFromCert(trust, "localhost")))
		},
		fault: func(t *testing.T, _ logLine) func() {
			t.Helper()
			cert, key := issue(5)
			replace(t, keyFile, key)
			replace(t, certFile, cert)
			return nil
		},
	}.run(t)
}

func TestIncidents_redisAway(t *testing.T) {
	t.Parallel()
	testenv.Incidents(t)
	store := startRedis(t)
	incident{
		alert: "SamsaraGatewayRedisAway", labels: map[string]string{"organization": "default", "culprit": "operator"},
		start: func(t *testing.T) (logLine, func(context.Context) error) {
			t.Helper()
			_, at := startSandboxed(t, "--quota-redis="+store.url())
			return at, listTags(connect(t, at.GRPC, insecure.NewCredentials()))
		},
		fault:      func(t *testing.T, _ logLine) func() { t.Helper(); store.kill(t); return nil },
		afterwards: "increase(samsara_gateway_quota_store_lost_total[1m]) > 0",
		want:       `organization="default"`,
	}.run(t)
}

// TestIncidents_feedLags has the requests of a feed that somebody follows fail.
func TestIncidents_feedLags(t *testing.T) {
	t.Parallel()
	testenv.Incidents(t)
	var failing atomic.Bool
	incident{
		alert: "SamsaraGatewayFeedLags", labels: map[string]string{"operation": "LocationAndSpeedService/FollowLocationAndSpeed", "culprit": "samsara"},
		start: func(t *testing.T) (logLine, func(context.Context) error) {
			t.Helper()
			box, _ := startSandbox(t)
			target, err := url.Parse(box.await(t, "serving").Sandbox)
			if err != nil {
				t.Fatal(err)
			}
			proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
			address := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if failing.Load() && strings.HasSuffix(r.URL.Path, "/stream") {
					http.Error(w, "{}", http.StatusServiceUnavailable)
					return
				}
				proxy.ServeHTTP(w, r)
			}))
			// The quota allows so few requests that the failures, whose times are not divided, would be many among them.
			_, at := startBefore(t, flagsBefore(t, "http://"+address))
			conn := connect(t, at.GRPC, insecure.NewCredentials())
			stream, err := locationandspeedv1.NewLocationAndSpeedServiceClient(conn).
				FollowLocationAndSpeed(t.Context(), &locationandspeedv1.FollowLocationAndSpeedRequest{})
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for err := error(nil); err == nil; {
					_, err = stream.Recv()
				}
			}()
			return at, listTags(conn)
		},
		fault:      func(*testing.T, logLine) func() { failing.Store(true); return nil },
		afterwards: "max by (operation) (max_over_time(samsara_gateway_feed_lag_seconds[1m])) > 10",
		want:       `operation="LocationAndSpeedService/FollowLocationAndSpeed"`,
	}.run(t)
}

// TestIncidents_memoryFull has clients call for large answers and read nothing.
func TestIncidents_memoryFull(t *testing.T) {
	t.Parallel()
	testenv.Incidents(t)
	incident{
		alert: "SamsaraGatewayMemoryFull", labels: map[string]string{"culprit": "caller"},
		start: func(t *testing.T) (logLine, func(context.Context) error) {
			t.Helper()
			_, at := startBefore(t, startPages(t), "--max-in-flight-bytes=64MiB", "--max-response-bytes=16MiB")
			client := vehiclesv1.NewVehiclesServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
			return at, func(ctx context.Context) error {
				_, err := client.ListVehicles(ctx, &vehiclesv1.ListVehiclesRequest{})
				return err
			}
		},
		fault: func(t *testing.T, at logLine) func() {
			t.Helper()
			raw := rawCalls{
				Address: at.GRPC, Method: vehiclesv1.VehiclesService_ListVehicles_FullMethodName, Header: []string{"samsara-cache", "no-store"},
				Request: encoded(t, &vehiclesv1.ListVehiclesRequest{After: proto.String(cursorOf(1<<20, 0))}, false), Calls: 20,
			}
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			for range 30 {
				all.Go(func() {
					for ctx.Err() == nil { // Whose connection is closed comes back.
						c, err := raw.begin(ctx)
						if err != nil {
							continue
						}
						select {
						case <-c.ended:
						case <-ctx.Done():
						}
						c.close()
					}
				})
			}
			over := func() { cancel(); all.Wait() }
			t.Cleanup(over)
			return over
		},
	}.run(t)
}
