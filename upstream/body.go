package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"samsara.internal/gateway/internal/lease"
)

const (
	// maxDrainBytes is how much of an unused body is read at most, so that its connection can be used
	// again.
	maxDrainBytes = 256 << 10
	// bodySlack is the room behind a body of known length, in which a read finds that the body ends.
	bodySlack = 64
	// unknownLength is the first room for a body that does not say how long it is.
	unknownLength = 16 << 10
	// zipFactor is about how many times shorter gzip makes JSON.
	zipFactor = 4
	// uselessBodyTime is how long a body may take that decides nothing: that of an error, whose status is
	// the verdict, or one that is not used. After that its connection is closed.
	uselessBodyTime = time.Second
)

// body is a response body, or what has been read of it. It must give back its memory. The zero value has
// none.
type body struct {
	lease *lease.Lease
	bytes []byte
	// hasty is whether the body does not wait for memory.
	hasty bool
}

// newErrorBody returns an empty body that does not wait for memory: it is small.
func newErrorBody(by *lease.Holder) body {
	b := body{lease: by.Add(int64(lease.Capacity(0))), hasty: true}
	b.bytes = b.lease.Buffer(0)
	return b
}

// drop gives back the memory, except if it has been passed on.
func (b *body) drop() { b.pass().Release() }

// pass passes the memory on to the caller, and empties the body.
func (b *body) pass() *lease.Lease {
	l := b.lease
	*b = body{}
	return l
}

// withTranslation returns how many bytes to reserve for a body with a buffer of capacity bytes, and for
// its message, which is about half as long.
func withTranslation(capacity int) int64 {
	return int64(capacity) + int64(lease.Capacity(capacity/2))
}

// read appends what there is to read, at most limit bytes. The error is errTooLarge if there is more. In
// any case the body holds what could be read.
func (b *body) read(ctx context.Context, from io.Reader, limit int64) error {
	for {
		if len(b.bytes) == cap(b.bytes) {
			if err := b.grow(ctx, limit); err != nil {
				return err
			}
		}
		room := min(int64(cap(b.bytes)), limit+1)
		n, err := from.Read(b.bytes[len(b.bytes):room])
		b.bytes = b.bytes[:len(b.bytes)+n]
		switch {
		case int64(len(b.bytes)) > limit:
			b.bytes = b.bytes[:limit]
			return fmt.Errorf("%w of %d bytes", errTooLarge, limit)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// grow doubles the room, as far as a body of limit bytes needs it. While the bytes are copied there are
// two buffers; there is no message yet.
func (b *body) grow(ctx context.Context, limit int64) error {
	n := int(min(2*int64(cap(b.bytes)), limit+bodySlack))
	capacity := lease.Capacity(n)
	counted := max(withTranslation(capacity), int64(capacity+cap(b.bytes)))
	if b.hasty {
		b.lease.Count(counted)
	}
	// There are at most two buffers of the largest size.
	most := 2 * int64(lease.Capacity(int(limit)+bodySlack))
	larger, err := b.lease.Grow(ctx, b.bytes, n, counted, most)
	b.bytes = larger
	return err
}

// bodies reads response bodies. It is safe for concurrent use.
type bodies struct {
	unzippers sync.Pool
}

// readWhole reads a body of which a part is of no use, as read does, into memory that it waits for. It
// does not read a body that announces more than limit bytes.
func (b *bodies) readWhole(ctx context.Context, into *body, by *lease.Holder, resp *http.Response, limit int64) error {
	if resp.ContentLength > limit {
		return fmt.Errorf("%w of %d bytes: Content-Length is %d", errTooLarge, limit, resp.ContentLength)
	}
	length := int64(unknownLength)
	if resp.ContentLength >= 0 {
		length = resp.ContentLength
		if len(resp.Header["Content-Encoding"]) > 0 {
			length *= zipFactor
		}
	}
	n := int(min(length, limit)) + bodySlack
	var err error
	if into.lease, err = by.Take(ctx, withTranslation(lease.Capacity(n))); err != nil {
		return err
	}
	into.bytes = into.lease.Buffer(n)
	return b.read(ctx, into, resp, limit)
}

// read appends a response's body to into, decompressed, at most limit bytes. The error is errTooLarge if
// there is more, errEncoding if the body cannot be decompressed, and lease.ErrNoRoom if there is no room
// for it. Any other error is the connection's. In any case into has what could be read. A body without
// a byte is empty in every encoding.
func (b *bodies) read(ctx context.Context, into *body, resp *http.Response, limit int64) error {
	encoding := strings.Join(resp.Header["Content-Encoding"], ", ")
	switch strings.ToLower(encoding) {
	case "", "identity":
		return into.read(ctx, resp.Body, limit)
	case "gzip", "x-gzip": // RFC 9110, section 8.4.1.3: they are the same.
		return b.unzip(ctx, into, resp.Body, limit)
	}
	err := into.read(ctx, resp.Body, 0)
	if errors.Is(err, errTooLarge) { // The body is not empty, and cannot be decompressed.
		return fmt.Errorf("%w: must be gzip or none, is %q", errEncoding, encoding)
	}
	return err
}

func (b *bodies) unzip(ctx context.Context, into *body, zipped io.Reader, limit int64) error {
	keeper := &faultKeeper{from: zipped}
	unzipper, ok := b.unzippers.Get().(*gzip.Reader)
	if !ok {
		unzipper = new(gzip.Reader)
	}
	defer b.unzippers.Put(unzipper)
	err := unzipper.Reset(keeper)
	if errors.Is(err, io.EOF) { // There is nothing to decompress.
		return nil
	}
	if err == nil {
		err = into.read(ctx, unzipper, limit)
	}
	switch {
	case err == nil || errors.Is(err, errTooLarge) || errors.Is(err, lease.ErrNoRoom):
		return err
	case keeper.fault != nil:
		return keeper.fault
	default:
		return fmt.Errorf("%w: gzip: %w", errEncoding, err)
	}
}

// faultKeeper remembers that the reader below it failed. The error of a decompressor does not tell that
// from a fault in the data.
type faultKeeper struct {
	from  io.Reader
	fault error
}

func (k *faultKeeper) Read(p []byte) (int, error) {
	n, err := k.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		k.fault = err
	}
	return n, err
}

// discard closes a response's body. Before that it reads what is left, if that is little and comes in
// time, so that the connection stays open. It does not wait for a body that is known to be longer.
func discard(resp *http.Response) {
	if resp.ContentLength <= maxDrainBytes && resp.Body != http.NoBody {
		defer hurry(resp)()
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrainBytes)
	}
	_ = resp.Body.Close()
}

// hurry bounds how long the body of a response may take from now on, if the body decides nothing. The
// function that it returns lifts the bound.
func hurry(resp *http.Response) (end func()) {
	if b, ok := resp.Body.(interface{ EndIn(d time.Duration) }); ok {
		b.EndIn(uselessBodyTime)
		return func() {}
	}
	timer := time.AfterFunc(uselessBodyTime, func() { _ = resp.Body.Close() })
	return func() { timer.Stop() }
}
