package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

const (
	// maxDrainBytes is how much of a body is read for nothing, so that its connection can be
	// used again.
	maxDrainBytes = 256 << 10
	// bodySlack is the room behind a body of known length that finds out that it ends there.
	bodySlack = 64
	// unknownLength is the room for a body that does not say how long it is, to begin with.
	unknownLength = 16 << 10
	// zipFactor is how many times shorter gzip makes JSON, about.
	zipFactor = 4
)

var errEncoding = errors.New("Content-Encoding")

// bodies reads response bodies into buffers on loan. It is safe for concurrent use.
type bodies struct {
	memory    *memory
	unzippers sync.Pool
}

// readWhole is read for a body that is of no use in part: one that announces more than limit
// bytes is not read at all. The buffer, which must be released, is nil where there was no room
// for one.
func (b *bodies) readWhole(ctx context.Context, resp *http.Response, limit int64) (*buffer, error) {
	if resp.ContentLength > limit {
		return nil, fmt.Errorf("%w of %d bytes: Content-Length is %d", errTooLarge, limit, resp.ContentLength)
	}
	length := int64(unknownLength)
	if resp.ContentLength >= 0 {
		length = resp.ContentLength
		if resp.Header.Get("Content-Encoding") != "" {
			length *= zipFactor
		}
	}
	buf, err := b.memory.lend(ctx, int(min(length, limit))+bodySlack)
	if err != nil {
		return nil, err
	}
	return buf, b.read(ctx, buf, resp, limit)
}

// read appends a response's body to buf, decompressed, at most limit bytes of it: where there
// is more the error is errTooLarge. It is errEncoding where the body cannot be decompressed,
// errMemory where there is no room for it, and any other error is the connection's. In any case
// buf holds what could be read.
func (b *bodies) read(ctx context.Context, buf *buffer, resp *http.Response, limit int64) error {
	switch encoding := resp.Header.Get("Content-Encoding"); strings.ToLower(encoding) {
	case "", "identity":
		return buf.read(ctx, resp.Body, limit)
	case "gzip":
		return b.unzip(ctx, buf, resp.Body, limit)
	default:
		return fmt.Errorf("%w: must be gzip or none, is %q", errEncoding, encoding)
	}
}

func (b *bodies) unzip(ctx context.Context, buf *buffer, body io.Reader, limit int64) error {
	source := &faultKeeper{from: body}
	unzipper, ok := b.unzippers.Get().(*gzip.Reader)
	if !ok {
		unzipper = new(gzip.Reader)
	}
	defer b.unzippers.Put(unzipper)
	err := unzipper.Reset(source)
	if err == nil {
		err = buf.read(ctx, unzipper, limit)
	}
	switch {
	case err == nil || errors.Is(err, errTooLarge) || errors.Is(err, errMemory):
		return err
	case source.fault != nil:
		return source.fault
	default:
		return fmt.Errorf("%w: gzip: %w", errEncoding, err)
	}
}

// faultKeeper remembers that its source failed, which a decompressor's error does not tell
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

// drain closes a body, reading what little is left of it so that its connection stays open.
// What it finds there matters no longer.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, maxDrainBytes)
	_ = body.Close()
}
