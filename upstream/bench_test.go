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
		server := httptest.NewServer(answer(200, body, "Content-Length", strconv.Itoa(len(body))))
		b.Cleanup(server.Close)
		client := newClient(b, upstream.Config{BaseURL: mustURL(b, server.URL), Token: upstream.StaticToken(testToken)})
		req := get("/things/1")
		req.Decoder = decoder
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := client.Do(b.Context(), req); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
