package upstream

import (
	"bytes"
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
	// maxTrustedLength is how large a buffer a Content-Length is worth before the bytes come.
	maxTrustedLength = 1 << 20
	// maxPooledBytes keeps one large response from holding its memory for ever.
	maxPooledBytes = 4 << 20
)

var (
	errTooLarge = errors.New("body exceeds its limit")
	errEncoding = errors.New("Content-Encoding")
)

// bodies reads response bodies into buffers that are used again. It is safe for concurrent
// use; the zero value is ready.
type bodies struct {
	buffers, unzippers sync.Pool
}

// buffer returns an empty buffer, to be given back by release.
func (b *bodies) buffer() *bytes.Buffer {
	if buf, ok := b.buffers.Get().(*bytes.Buffer); ok {
		return buf
	}
	return new(bytes.Buffer)
}

func (b *bodies) release(buf *bytes.Buffer) {
	if buf.Cap() <= maxPooledBytes {
		buf.Reset()
		b.buffers.Put(buf)
	}
}

// readWhole is read for a body that is of no use in part: one that announces more than limit
// bytes is not read at all.
func (b *bodies) readWhole(buf *bytes.Buffer, resp *http.Response, limit int64) error {
	if resp.ContentLength > limit {
		return fmt.Errorf("%w of %d bytes: Content-Length is %d", errTooLarge, limit, resp.ContentLength)
	}
	return b.read(buf, resp, limit)
}

// read appends a response's body to buf, decompressed, at most limit bytes of it: where there
// is more the error is errTooLarge. It is errEncoding where the body cannot be decompressed,
// and any other error is the connection's. In any case buf holds what could be read.
func (b *bodies) read(buf *bytes.Buffer, resp *http.Response, limit int64) error {
	switch encoding := resp.Header.Get("Content-Encoding"); strings.ToLower(encoding) {
	case "", "identity":
		// ReadFrom wants room beyond the end, to find that it is the end.
		buf.Grow(int(min(max(resp.ContentLength, 0), limit, maxTrustedLength)) + bytes.MinRead)
		return readLimited(buf, resp.Body, limit)
	case "gzip":
		return b.unzip(buf, resp.Body, limit)
	default:
		return fmt.Errorf("%w: must be gzip or none, is %q", errEncoding, encoding)
	}
}

func (b *bodies) unzip(buf *bytes.Buffer, body io.Reader, limit int64) error {
	source := &faultKeeper{from: body}
	unzipper, ok := b.unzippers.Get().(*gzip.Reader)
	if !ok {
		unzipper = new(gzip.Reader)
	}
	defer b.unzippers.Put(unzipper)
	err := unzipper.Reset(source)
	if err == nil {
		err = readLimited(buf, unzipper, limit)
	}
	switch {
	case err == nil || errors.Is(err, errTooLarge):
		return err
	case source.fault != nil:
		return source.fault
	default:
		return fmt.Errorf("%w: gzip: %w", errEncoding, err)
	}
}

func readLimited(buf *bytes.Buffer, body io.Reader, limit int64) error {
	before := buf.Len()
	if _, err := buf.ReadFrom(io.LimitReader(body, limit+1)); err != nil {
		return err
	}
	if int64(buf.Len()-before) > limit {
		buf.Truncate(before + int(limit))
		return fmt.Errorf("%w of %d bytes", errTooLarge, limit)
	}
	return nil
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
