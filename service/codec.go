package service

import (
	"bytes"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"

	"samsara.internal/gateway/upstream"
)

// frame is a response whose message is already in wire form. It is sent as it is, and released
// once grpc has written it or given it up.
type frame struct{ *upstream.Response }

// codec is grpc's protobuf codec, which every message goes through that is not in wire form. It is
// forced on the server rather than registered, because the registry is global.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// Marshal implements encoding.CodecV2 without copying frames and messages of streams, which
// belong to grpc from then on.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	switch v := v.(type) {
	case frame:
		return mem.BufferSlice{lend(&v.Message, v)}, nil
	case *message:
		return v.buffers(), nil
	default:
		return c.CodecV2.Marshal(v)
	}
}

// lend returns a buffer of wire, which owner gets back once nothing uses it any more.
func lend(wire *[]byte, owner mem.BufferPool) mem.Buffer {
	if mem.IsBelowBufferPoolingThreshold(cap(*wire)) {
		// Of such a buffer grpc never says that it is done with it.
		defer owner.Put(wire)
		return mem.SliceBuffer(bytes.Clone(*wire))
	}
	return mem.NewBuffer(wire, owner)
}

func fresh(length int) *[]byte {
	b := make([]byte, length)
	return &b
}

// Get and Put make a frame the mem.BufferPool of its own message.
func (f frame) Get(length int) *[]byte { return fresh(length) }

// Put implements mem.BufferPool.
func (f frame) Put(*[]byte) { f.Release() }
