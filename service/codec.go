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

// codec is grpc's protobuf codec, which every message that is not a frame goes through. It is
// forced on the server rather than registered, because the registry is global.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// Marshal implements encoding.CodecV2 without copying a frame, which belongs to grpc from then
// on.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(frame)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	if mem.IsBelowBufferPoolingThreshold(cap(f.Message)) {
		// Of such a buffer grpc never says that it is done with it.
		defer f.Release()
		return mem.BufferSlice{mem.SliceBuffer(bytes.Clone(f.Message))}, nil
	}
	return mem.BufferSlice{mem.NewBuffer(&f.Message, f)}, nil
}

// Get and Put make a frame the mem.BufferPool of its own message.
func (f frame) Get(length int) *[]byte {
	fresh := make([]byte, length)
	return &fresh
}

// Put implements mem.BufferPool.
func (f frame) Put(*[]byte) { f.Release() }
