package upstream_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"samsara.internal/gateway/upstream"
)

func BenchmarkDo(b *testing.B) {
	for _, size := range []int{2 << 10, 50 << 10, 1 << 20} {
		body := `"` + strings.Repeat("x", size-2) + `"`
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			answer(200, body)(w, r)
		}))
		b.Cleanup(server.Close)
		client := newClient(b, upstream.Config{BaseURL: mustURL(b, server.URL), Token: upstream.StaticToken(testToken)})
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := client.Do(b.Context(), get("/things/1")); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
