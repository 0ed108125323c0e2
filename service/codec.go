package service

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/upstream"
)

// pieceBytes is how much grpc gets as one piece. Grpc gives each piece back once it is written, so that a
// large answer shows whether its client reads.
const pieceBytes = 256 << 10

// request is the request of an operation. The codec binds it instead of making a message of it, because the
// bytes are grpc's again once the codec has seen them.
type request struct {
	endpoint *endpoint.Endpoint
	bound    endpoint.Request
	// refused is what is wrong with the request, which is a message.
	refused *endpoint.ArgumentError
}

// frame is a response whose message is already in wire form. It is sent as it is, and released
// once grpc has written it or given it up.
type frame struct{ *upstream.Response }

// compressed is a frame that grpc makes a compressed copy of. It is released once the copy is made.
type compressed struct{ *upstream.Response }

// codec passes messages in wire form on as they are, binds requests of operations, and uses grpc's protobuf codec
// for all others. It is
// forced on the server rather than registered, because the registry is global. It alone hands memory to grpc.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// Marshal implements encoding.CodecV2 without copying frames and messages of streams, which
// belong to grpc from then on.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	switch v := v.(type) {
	case frame:
		return handOver(make(mem.BufferSlice, 0, 1), &v.Message, v.Lease), nil
	case compressed:
		return lend(nil, &v.Message, v.Lease), nil
	case *message:
		v.sent = true
		out := append(make(mem.BufferSlice, 0, 2), v.head)
		switch {
		case v.body == nil:
			return out, nil
		case v.compressed:
			return lend(out, v.body, v.lease), nil
		default:
			return handOver(out, v.body, v.lease), nil
		}
	default:
		return c.CodecV2.Marshal(v)
	}
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	in, ok := v.(*request)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	buffer := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buffer.Free()
	var err error
	if in.bound, err = in.endpoint.BindWire(buffer.ReadOnlyData()); errors.As(err, &in.refused) {
		return nil
	}
	return err
}

// handOver appends wire, and passes its lease to grpc, if it has one.
func handOver(out mem.BufferSlice, wire *[]byte, held *lease.Lease) mem.BufferSlice {
	switch {
	case held == nil:
		return append(out, mem.SliceBuffer(*wire))
	case mem.IsBelowBufferPoolingThreshold(cap(*wire)):
		// Grpc never says of such a small buffer that it is done with it.
		defer held.Release()
		return append(out, mem.SliceBuffer(bytes.Clone(*wire)))
	case len(*wire) <= pieceBytes:
		held.Hand(1)
		return append(out, mem.NewBuffer(wire, held))
	}
	count := (len(*wire) + pieceBytes - 1) / pieceBytes
	// All are of one size: grpc would not say of a short last one that it is done with it.
	pieces := slices.Collect(slices.Chunk(*wire, (len(*wire)+count-1)/count))
	held.Hand(len(pieces))
	for i := range pieces {
		out = append(out, mem.NewBuffer(&pieces[i], held))
	}
	return out
}

// lend appends wire, which grpc makes a compressed copy of and does not keep.
func lend(out mem.BufferSlice, wire *[]byte, held *lease.Lease) mem.BufferSlice {
	if held == nil || mem.IsBelowBufferPoolingThreshold(cap(*wire)) {
		return handOver(out, wire, held) // It is a copy already.
	}
	return append(out, mem.NewBuffer(wire, lent{held}))
}

// lent is the mem.BufferPool of a lease that is released rather than handed to grpc.
type lent struct{ *lease.Lease }

// Put implements mem.BufferPool.
func (l lent) Put(*[]byte) { l.Release() }

// messageHead is what a message of a stream has before its page. All streams that send the page share it.
type messageHead = mem.Buffer

// message is a message of a stream in wire form. Its lease belongs to grpc once the codec has seen it.
type message struct {
	head messageHead
	// body is the page as it is; nil: there is none.
	body *[]byte
	// lease is the memory of body; nil: it has none.
	lease *lease.Lease
	// compressed is whether grpc makes a compressed copy of it.
	compressed bool
	sent       bool
}

// pageHead returns the head of a message with a cursor, if it is not empty, and a page in wire form.
func pageHead(cursor string, wire []byte) messageHead {
	head := protowire.AppendTag(cursorField(cursor), endpoint.PageNumber, protowire.BytesType)
	return mem.SliceBuffer(protowire.AppendVarint(head, uint64(len(wire))))
}

// keepAliveHead returns a message with a cursor, if it is not empty, and a keep-alive in wire form.
func keepAliveHead(cursor string, wire []byte) messageHead {
	head := protowire.AppendTag(cursorField(cursor), endpoint.KeepAliveNumber, protowire.BytesType)
	return mem.SliceBuffer(protowire.AppendBytes(head, wire))
}

func cursorField(cursor string) []byte {
	if cursor == "" {
		return nil
	}
	return protowire.AppendString(protowire.AppendTag(nil, endpoint.CursorNumber, protowire.BytesType), cursor)
}

// bodyBytes returns how long the page is.
func (m *message) bodyBytes() int {
	if m.body == nil {
		return 0
	}
	return len(*m.body)
}

// drop frees a message that grpc has never seen, and makes m none, so that an open stream does not keep the page.
func (m *message) drop() {
	if !m.sent {
		m.lease.Release()
	}
	*m = message{}
}

// maxCompressedBytes is the largest answer that is compressed, and the largest first page of a stream. Grpc
// queues a copy of it that no lease counts. lease.Holder.Copy bounds such copies.
const maxCompressedBytes = 64 << 10

// mayCompress reports whether an answer of n bytes may be compressed.
func mayCompress(by *lease.Holder, n int) bool {
	return n <= maxCompressedBytes && by.Copy(int64(n))
}

// compresses reports whether grpc compresses the answer to a call.
func compresses(call grpc.ServerTransportStream) bool {
	c, ok := call.(interface{ SendCompress() string })
	return ok && c.SendCompress() != "" && c.SendCompress() != encoding.Identity
}

// arrival is how grpc itself reads a stream: the header of a message, and then as many bytes as the header
// says. Grpc's streams implement it, though their interface does not say so.
type arrival interface {
	ReadMessageHeader(header []byte) error
	Read(n int) (mem.BufferSlice, error)
	RecvCompress() string
}

// messageHeader comes before each message: a byte that says whether it is compressed, and its length.
type messageHeader [5]byte

// awaitMessage waits for the header of a message. It fails with io.EOF at the end of the requests, and with
// the error of ctx if ctx ends first. In the latter case the stream must end.
func awaitMessage(ctx context.Context, from arrival) (messageHeader, error) {
	var header messageHeader
	arrived := make(chan error, 1)
	go func() { arrived <- from.ReadMessageHeader(header[:]) }() // It ends with the stream.
	select {
	case err := <-arrived:
		return header, arrivalError(err)
	case <-ctx.Done():
		return messageHeader{}, ctx.Err()
	}
}

// receive reads the message behind a header, of at most limit bytes, as grpc does and with its errors.
func (c codec) receive(from arrival, header messageHeader, limit int, into any) error {
	length := binary.BigEndian.Uint32(header[1:])
	if int64(length) > int64(limit) {
		return status.Errorf(codes.ResourceExhausted, "grpc: received message larger than max (%d vs. %d)", length, limit)
	}
	data, err := from.Read(int(length))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return arrivalError(err)
	}
	defer data.Free()
	switch header[0] {
	case 0:
	case 1:
		plain, err := decompress(from.RecvCompress(), data, limit)
		if err != nil {
			return err
		}
		data = mem.BufferSlice{mem.SliceBuffer(plain)} // there is nothing to free
	default:
		return status.Errorf(codes.Internal, "grpc: received unexpected payload format %d", header[0])
	}
	if err := c.Unmarshal(data, into); err != nil {
		return status.Errorf(codes.Internal, "grpc: failed to unmarshal the received message: %v", err)
	}
	return nil
}

// decompress returns the decompressed data, at most limit bytes.
func decompress(name string, data mem.BufferSlice, limit int) ([]byte, error) {
	compressor := encoding.GetCompressor(name)
	if compressor == nil {
		return nil, status.Error(codes.Internal, "grpc: compressed flag set with identity or empty encoding")
	}
	from := data.Reader()
	defer func() { _ = from.Close() }()
	plain, err := compressor.Decompress(from)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "grpc: failed to decompress the message: %v", err)
	}
	out, err := io.ReadAll(io.LimitReader(plain, int64(limit)+1))
	switch {
	case err != nil:
		return nil, status.Errorf(codes.Internal, "grpc: failed to read decompressed data: %v", err)
	case len(out) > limit:
		return nil, status.Errorf(codes.ResourceExhausted, "grpc: received message after decompression larger than max %d", limit)
	default:
		return out, nil
	}
}

// arrivalError converts an error of an arrival as grpc's RecvMsg does.
func arrivalError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return status.Error(codes.Internal, err.Error())
	}
	return err
}
