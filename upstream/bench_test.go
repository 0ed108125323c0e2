package upstream_test

import (
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"samsara.internal/gateway/upstream"
)

// BenchmarkDo includes the server, which is in the same process.
func BenchmarkDo(b *testing.B) {
	_, decoder := thing(b)
	for _, size := range []int{2 << 10, 50 << 10, 1 << 20} {
		body := `{"name":"` + strings.Repeat("x", size) + `"}`
		step := answer(200, body, "Content-Length", strconv.Itoa(len(body)))
		for name, configure := range map[string]func() upstream.Config{
			"cleartext": func() upstream.Config {
				server := httptest.NewServer(step)
				b.Cleanup(server.Close)
				return upstream.Config{BaseURL: mustURL(b, server.URL), Token: upstream.StaticToken(testToken)}
			},
			"TLS, HTTP/1.1": func() upstream.Config { return tlsServer(b, true, step) },
			"TLS, HTTP/2": func() upstream.Config {
				cfg := tlsServer(b, true, step)
				cfg.Transport.HTTP2 = true
				return cfg
			},
		} {
			client := newClient(b, configure())
			req := get("/things/1")
			req.Decoder = decoder
			req.NoStore = true // Each call is to ask the upstream.
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, name), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(body)))
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						resp, err := client.Do(b.Context(), req)
						if err != nil {
							b.Error(err)
							return
						}
						resp.Release()
					}
				})
			})
		}
	}
}
