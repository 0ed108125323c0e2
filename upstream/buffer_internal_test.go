package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
	"time"
)

func TestBuffersAreHardlyLargerThanWanted(t *testing.T) {
	t.Parallel()
	last, lastCapacity := 0, leastBufferBytes
	for n := 1; n <= 2*maxPooledBytes; n += 1 + n/50 {
		at, capacity := class(n)
		if capacity < n || (capacity > leastBufferBytes && capacity-n > n/classSteps) {
			t.Errorf("a buffer for %d bytes has %d", n, capacity)
		}
		if (at == last) != (capacity == lastCapacity) || at < last {
			t.Errorf("class %d has %d bytes, class %d has %d", last, lastCapacity, at, capacity)
		}
		if again, same := class(capacity); again != at || same != capacity {
			t.Errorf("class %d has %d bytes, for which class %d is the one", at, capacity, again)
		}
		last, lastCapacity = at, capacity
	}
	if largest, _ := class(maxPooledBytes); largest != len(memory{}.pools)-1 {
		t.Errorf("the largest class is %d, there are pools for %d", largest, len(memory{}.pools))
	}
}

func TestBufferReadsUpToItsLimit(t *testing.T) {
	t.Parallel()
	const limit = 3 * leastBufferBytes
	for _, size := range []int{0, 1, leastBufferBytes - 1, leastBufferBytes, leastBufferBytes + 1, 2 * leastBufferBytes, limit - 1, limit, limit + 1, 2 * limit} {
		for name, reader := range map[string]func(io.Reader) io.Reader{
			"at once":              func(r io.Reader) io.Reader { return r },
			"byte by byte":         iotest.OneByteReader,
			"with the end at once": iotest.DataErrReader,
		} {
			t.Run(fmt.Sprintf("%d bytes %s", size, name), func(t *testing.T) {
				t.Parallel()
				m := &memory{ledger: ledger{limit: 1 << 20}}
				b, err := m.lend(within(t, time.Minute), 1)
				if err != nil {
					t.Fatal(err)
				}
				body := bytes.Repeat([]byte("0123456"), size/7+1)[:size]
				err = b.read(within(t, time.Minute), reader(bytes.NewReader(body)), limit)
				if tooLarge := size > limit; errors.Is(err, errTooLarge) != tooLarge || (err != nil) != tooLarge {
					t.Errorf("got error %v, want one: %t", err, tooLarge)
				}
				if want := body[:min(size, limit)]; !bytes.Equal(b.bytes, want) {
					t.Errorf("read %d bytes, want the first %d", len(b.bytes), len(want))
				}
				wantUsed(t, &m.ledger, withTranslation(cap(b.bytes)))
				b.release()
				wantUsed(t, &m.ledger, 0)
			})
		}
	}
}

func TestBufferKeepsWhatItReadBeforeAFault(t *testing.T) {
	t.Parallel()
	m := &memory{ledger: ledger{limit: 1 << 20}}
	b := m.lendNow(10)
	fault := errors.New("broke")
	if err := b.read(within(t, time.Minute), io.MultiReader(bytes.NewReader([]byte("abc")), iotest.ErrReader(fault)), 10); !errors.Is(err, fault) {
		t.Errorf("got error %v, want %v", err, fault)
	}
	if string(b.bytes) != "abc" {
		t.Errorf("got %q, want abc", b.bytes)
	}
	b.release()
	wantUsed(t, &m.ledger, 0)
}

func TestBufferThatCannotGrowIsStillCountedAsItWas(t *testing.T) {
	t.Parallel()
	m := &memory{ledger: ledger{limit: 2 * leastBufferBytes}}
	b, err := m.lend(within(t, time.Minute), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.read(within(t, time.Minute), bytes.NewReader(make([]byte, 2*leastBufferBytes)), 1<<20); !errors.Is(err, errMemory) {
		t.Errorf("got error %v, want errMemory", err)
	}
	wantUsed(t, &m.ledger, withTranslation(leastBufferBytes))
	b.release()
	wantUsed(t, &m.ledger, 0)
}

func TestTranslationTakesFromWhatItsBodyReserved(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name                  string
		body, message         int
		whileBoth, afterwards int64
	}{
		{name: "half as long", body: 64 << 10, message: 32 << 10, whileBoth: 96 << 10, afterwards: 32 << 10},
		{name: "short, in the smallest buffer", body: 10, message: 5, whileBoth: 2 * leastBufferBytes, afterwards: leastBufferBytes},
		{name: "longer, and thus counted on top", body: 64 << 10, message: 48 << 10, whileBoth: 112 << 10, afterwards: 48 << 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := &memory{ledger: ledger{limit: 1 << 20}}
			body, err := m.lend(within(t, time.Minute), test.body)
			if err != nil {
				t.Fatal(err)
			}
			body.bytes = body.bytes[:test.body]
			message := body.translation()
			if test.message <= cap(message.bytes) {
				message.set(message.bytes[:test.message])
			} else {
				message.set(make([]byte, test.message))
			}
			wantUsed(t, &m.ledger, test.whileBoth)
			body.release()
			wantUsed(t, &m.ledger, test.afterwards)
			message.release()
			wantUsed(t, &m.ledger, 0)
		})
	}
}
