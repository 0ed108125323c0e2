package upstream

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/internal/transcode"
)

// TestCache_holdsWhatItCounts measures the heap, so it has it to itself.
//
//nolint:paralleltest // see above
func TestCache_holdsWhatItCounts(t *testing.T) {
	decoder, err := new(transcode.Compiler).Decoder(testproto.Message(t, `
		syntax = "proto3";
		message Thing { optional string name = 1; }`, "Thing"))
	if err != nil {
		t.Fatal(err)
	}
	var unknown []string
	for n := range 17 {
		unknown = append(unknown, fmt.Sprintf(`"%064d":1`, n))
	}
	for name, fill := range map[string]func(*Response) error{
		"small messages":  func(r *Response) error { r.Message = make([]byte, 10); return nil },
		"larger messages": func(r *Response) error { r.Message = make([]byte, 5_000); return nil },
		"ids that are pieces of a long header": func(r *Response) error {
			r.RequestID = strings.Repeat("x", 10_000)[:maxRequestIDBytes]
			return nil
		},
		"messages that differ from what they should be": func(r *Response) (err error) {
			r.Message, err = decoder.Append(nil, []byte("{"+strings.Join(unknown, ",")+"}"), &r.Drift)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			const limit = 1 << 20
			var kept cache
			if err := kept.open(limit); err != nil {
				t.Fatal(err)
			}
			defer kept.close()
			before, key := heapBytes(), readKey{tokens: "secret"}
			for n := range 2_500 {
				var resp Response
				if err := fill(&resp); err != nil {
					t.Fatal(err)
				}
				key.path = "/things/" + strconv.Itoa(n)
				resp.asked = time.Now()
				kept.put(key, &resp, time.Hour)
			}
			if got := heapBytes() - before; got > limit || got < limit/2 {
				t.Errorf("the cache holds %d bytes, want at most %d and not much less", got, limit)
			}
			if got := kept.bytes(); got > limit || got < limit*9/10 {
				t.Errorf("the cache counts %d bytes, want close to %d", got, limit)
			}
		})
	}
}

// heapBytes is what is in use. A pool lets go of what it has only when it is collected twice.
func heapBytes() int64 {
	for range 3 {
		runtime.GC()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
