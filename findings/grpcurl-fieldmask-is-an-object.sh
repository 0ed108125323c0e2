#!/usr/bin/env bash
# grpcurl has a FieldMask as a JSON object, protojson has it as a text: neither reads what the other writes.
#
# Guess: grpcurl takes and prints protobuf's JSON form, as protojson does, where a FieldMask is one text of paths
#   in lowerCamelCase, joined by commas. A request can be copied from a log or a test into -d.
# What happens: grpcurl takes and prints {"paths": [...]}, with the paths as they are on the wire. It refuses the
#   text. protojson takes and prints the text, and refuses the object.
# Versions: grpcurl v1.9.4, protobuf-go v1.36.12, grpc-go v1.85.0, go1.26.8 linux/amd64. Seen 2026-11-30:
#
#   protojson prints "displayName,homeAddress"
#   protojson takes "displayName,homeAddress": [display_name home_address]
#   protojson takes {"paths":["display_name","home_address"]}: an error
#   grpcurl takes "displayName,homeAddress": an error
#   grpcurl takes {"paths":["display_name","home_address"]}: {"paths":["display_name","home_address"]}
#
# Exits 0 if that is still so, 1 if it changed, 2 if it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off

cat >main.go <<'GO'
// A server that returns the FieldMask that it is sent, and its calls by grpcurl.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

const (
	text   = `"displayName,homeAddress"`
	object = `{"paths":["display_name","home_address"]}`
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot run:", err)
		os.Exit(2)
	}
}

// serve serves example.Masks/Echo with reflection, and returns its address.
func serve() string {
	const mask = ".google.protobuf.FieldMask"
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("masks.proto"), Package: proto.String("example"), Syntax: proto.String("proto3"),
		Dependency: []string{"google/protobuf/field_mask.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name:   proto.String("Masks"),
			Method: []*descriptorpb.MethodDescriptorProto{{Name: proto.String("Echo"), InputType: proto.String(mask), OutputType: proto.String(mask)}},
		}},
	}, protoregistry.GlobalFiles)
	must(err)
	must(protoregistry.GlobalFiles.RegisterFile(file))
	echo := func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		in := new(fieldmaskpb.FieldMask)
		return in, decode(in)
	}
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "example.Masks", HandlerType: (*any)(nil), Metadata: "masks.proto",
		Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: echo}},
	}, nil)
	reflection.Register(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() { must(server.Serve(listener)) }()
	return listener.Addr().String()
}

func compact(data []byte) string {
	var b bytes.Buffer
	if json.Compact(&b, data) != nil {
		return string(data)
	}
	return b.String()
}

func main() {
	var got []string
	say := func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) }
	printed, err := protojson.Marshal(&fieldmaskpb.FieldMask{Paths: []string{"display_name", "home_address"}})
	must(err)
	say("protojson prints %s", compact(printed))
	for _, in := range []string{text, object} {
		m := new(fieldmaskpb.FieldMask)
		if protojson.Unmarshal([]byte(in), m) != nil {
			say("protojson takes %s: an error", in)
		} else {
			say("protojson takes %s: %v", in, m.GetPaths())
		}
	}
	address := serve()
	for _, in := range []string{text, object} {
		out, err := exec.Command("./grpcurl", "-plaintext", "-max-time", "20", "-d", in, address, "example.Masks/Echo").Output()
		if err != nil {
			say("grpcurl takes %s: an error", in)
		} else {
			say("grpcurl takes %s: %s", in, compact(out))
		}
	}
	want := []string{
		"protojson prints " + text,
		"protojson takes " + text + ": [display_name home_address]",
		"protojson takes " + object + ": an error",
		"grpcurl takes " + text + ": an error",
		"grpcurl takes " + object + ": " + object,
	}
	changed := false
	for i, line := range got {
		fmt.Println(line)
		changed = changed || line != want[i]
	}
	if changed {
		fmt.Println("CHANGED: one of the two was expected to read only its own form")
		os.Exit(1)
	}
}
GO
if ! { go mod init example.test/finding &&
	go get google.golang.org/grpc@v1.85.0 google.golang.org/protobuf@v1.36.12 && go build -o finding . &&
	GOBIN="$work" go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4; } >log 2>&1; then
	cat log >&2
	exit 2
fi
./finding
