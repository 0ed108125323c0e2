package endpoint_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/testproto"
)

// surface returns the operations of the whole API, and zonesSource's.
func surface(tb testing.TB) []*endpoint.Endpoint {
	tb.Helper()
	all, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		tb.Fatal(err)
	}
	zones, err := load(tb, zonesSource)
	if err != nil {
		tb.Fatal(err)
	}
	return append(all, zones...)
}

// outcome is what came of a request.
type outcome struct {
	Request endpoint.Request
	Error   string
}

func outcomeOf(bound endpoint.Request, err error) outcome {
	if err != nil {
		return outcome{Request: bound, Error: err.Error()}
	}
	return outcome{Request: bound}
}

// checkBindWire compares BindWire with Bind of the message.
func checkBindWire(tb testing.TB, e *endpoint.Endpoint, wire []byte) outcome {
	tb.Helper()
	got := outcomeOf(e.BindWire(wire))
	m := e.Input.New()
	err := proto.Unmarshal(wire, m.Interface())
	var bound endpoint.Request
	if err == nil {
		bound, err = e.Bind(m)
	}
	if want := outcomeOf(bound, err); got.Error != want.Error || got.Request.Path != want.Request.Path || got.Request.Query != want.Request.Query ||
		(got.Request.Body == nil) != (want.Request.Body == nil) || string(got.Request.Body) != string(want.Request.Body) {
		tb.Fatalf("%s: %x (-want +got):\n%s", e.FullMethod, wire, cmp.Diff(want, got))
	}
	return got
}

func randomRequest(tb testing.TB, r *rand.Rand, e *endpoint.Endpoint) []byte {
	tb.Helper()
	m := e.Input.New()
	testproto.Fill(r, m, r.IntN(5))
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(m.Interface())
	if err != nil {
		tb.Fatal(err)
	}
	return wire
}

// readableRequest reports whether protobuf can say what wire is: it panics over some dynamic messages.
func readableRequest(e *endpoint.Endpoint, wire []byte) (ok bool) {
	defer func() { ok = recover() == nil }()
	_ = proto.Unmarshal(wire, e.Input.New().Interface())
	return true
}

func TestBindWire_asBind(t *testing.T) {
	t.Parallel()
	for i, e := range surface(t) {
		for seed := range uint64(6) {
			r := rand.New(rand.NewPCG(uint64(i), seed))
			wire := randomRequest(t, r, e)
			checkBindWire(t, e, wire)
			if wire = testproto.Mutate(r, wire); readableRequest(e, wire) {
				checkBindWire(t, e, wire)
			}
		}
		checkBindWire(t, e, nil)
	}
}

// FuzzBindWire compares BindWire with Bind: of any bytes, of a random message and of what is made of it, for any
// operation.
func FuzzBindWire(f *testing.F) {
	all := surface(f)
	for i, e := range all {
		if r := rand.New(rand.NewPCG(uint64(i), 0)); i%7 == 0 {
			f.Add(randomRequest(f, r, e), uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, wire []byte, seed uint64) {
		e := all[seed%uint64(len(all))]
		r := rand.New(rand.NewPCG(seed, 1))
		random := randomRequest(t, r, e)
		for _, wire := range [][]byte{wire, random, testproto.Mutate(r, random)} {
			if readableRequest(e, wire) {
				checkBindWire(t, e, wire)
			}
		}
	})
}
