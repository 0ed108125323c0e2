package micro_test

import (
	"bufio"
	"context"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/quota/redisstore"
)

// plenty returns a configuration whose limit a benchmark does not reach.
func plenty(window time.Duration) quota.Config {
	cfg := quota.Defaults()
	cfg.Token = quota.Limit{Requests: 100_000, Window: window}
	cfg.Organization = cfg.Token
	return cfg
}

func admission(b *testing.B, cfg quota.Config) *quota.Operation {
	b.Helper()
	limiter, err := quota.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := limiter.Close(); err != nil {
			b.Error(err)
		}
	})
	operation, err := limiter.Operation("samsara_gateway.vehicles.v1.VehiclesService.ListVehicles", cfg.Token)
	if err != nil {
		b.Fatal(err)
	}
	return operation
}

// admit does what the quota does for an attempt whose connection is open.
func admit(ctx context.Context, operation *quota.Operation) error {
	permit, err := operation.Admit(ctx, identity.Identity{Caller: "a"})
	if err != nil {
		return err
	}
	return permit.Renew(ctx)
}

func BenchmarkQuotaInProcess(b *testing.B) {
	operation := admission(b, plenty(time.Millisecond))
	b.ReportAllocs()
	for b.Loop() {
		if err := admit(b.Context(), operation); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQuotaInProcessParallel(b *testing.B) {
	operation := admission(b, plenty(time.Millisecond))
	b.ReportAllocs()
	b.RunParallel(func(loop *testing.PB) {
		for loop.Next() {
			if err := admit(b.Context(), operation); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkQuotaRedis also reports the median, which the promised figure is about.
func BenchmarkQuotaRedis(b *testing.B) {
	cfg := plenty(time.Second)
	store, err := redisstore.New(redisstore.Config{URL: "redis://" + redisServer(b), Organization: "bench", Token: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	cfg.Store = store
	cfg.StoreTimeout = time.Second
	operation := admission(b, cfg)
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		if err := admit(b.Context(), operation); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
}

// redisServer starts a Redis and returns its address.
func redisServer(b *testing.B) string {
	b.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		b.Fatal("needs redis-server: run make deps-test")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		b.Fatal(err)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		b.Fatal(err)
	}
	server := exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--save", "")
	server.Dir = b.TempDir()
	out, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		// The error of a killed process does not matter.
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			return address
		}
	}
	b.Fatal("redis-server ended before it was ready")
	return ""
}
