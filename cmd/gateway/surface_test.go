package main

import (
	_ "embed"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/gen/surface"
	"samsara.internal/gateway/internal/endpoint"
)

// surfaceFiles returns the files of the API by the area in their package. Our own files are under api.
func surfaceFiles(t *testing.T) map[string][]protoreflect.FileDescriptor {
	t.Helper()
	files := map[string][]protoreflect.FileDescriptor{}
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		names := strings.Split(string(file.Package()), ".")
		if strings.HasPrefix(names[0], "samsara") {
			if len(names) != 3 || names[0] != "samsara_gateway" || names[2] != "v1" || !strings.HasPrefix(file.Path(), strings.Join(names, "/")+"/") {
				t.Errorf("the package %s is in %s", file.Package(), file.Path())
			}
			files[names[1]] = append(files[names[1]], file)
		}
		return true
	})
	return files
}

// surfaceFacts returns the facts in SURFACE.json.
func surfaceFacts(t *testing.T) (f facts) {
	t.Helper()
	if err := json.Unmarshal([]byte(surface.JSON), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// camel returns the name of an area in UpperCamelCase.
func camel(area string) string {
	var name strings.Builder
	for word := range strings.SplitSeq(area, "_") {
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return name.String()
}

// Each area is one package with one service, whatever the stages of its operations.
func TestSurface_packages(t *testing.T) {
	t.Parallel()
	have := map[string]int{}
	for area, files := range surfaceFiles(t) {
		for _, file := range files {
			switch area {
			case "api", "types":
				have["files that several areas share"]++
			default:
				have["areas"]++
				if services := file.Services(); services.Len() != 1 || string(services.Get(0).Name()) != camel(area)+"Service" {
					t.Errorf("%s has %d services, want %sService alone", file.Path(), services.Len(), camel(area))
				}
			}
			if len(files) > 1 && area != "api" {
				t.Errorf("%s has %d files", area, len(files))
			}
		}
	}
	if areas := surfaceFacts(t).Areas; areas == 0 || have["areas"] != areas {
		t.Errorf("there are %d areas, want the %d of SURFACE.json: %v", have["areas"], areas, have)
	}
}

// Each operation is one method. An operation pages if and only if its name begins with List, and then it
// has a stream. It is followed if and only if it is a feed.
func TestSurface_methods(t *testing.T) {
	t.Parallel()
	have, ids, names := map[string]int{}, map[string]bool{}, map[string]bool{}
	for _, e := range mustLoadEndpoints(t) {
		name, o := string(e.Method.Name()), e.Operation
		have["unary"]++
		if o.GetStage() == apiv1.Stage_STAGE_UNSPECIFIED {
			t.Errorf("%s has no stage", e.FullMethod)
		}
		if ids[o.GetId()] || names[e.FullMethod] {
			t.Errorf("%s is not the only method of its name and of %s", e.FullMethod, o.GetId())
		}
		ids[o.GetId()], names[e.FullMethod] = true, true
		if regexp.MustCompile(`^(Stream|Follow)|Stream$|[0-9]$`).MatchString(name) {
			t.Errorf("%s is unary", e.FullMethod)
		}
		paged := o.GetPagination() != apiv1.Pagination_PAGINATION_UNSPECIFIED
		if paged != strings.HasPrefix(name, "List") {
			t.Errorf("%s pages: %t", e.FullMethod, paged)
		}
		followed := false
		for _, s := range e.Streams {
			verb, noun := "Stream", strings.TrimPrefix(name, "List")
			if s.Follow {
				verb, noun, followed = "Follow", strings.TrimSuffix(noun, "Feed"), true
			}
			if string(s.Method.Name()) != verb+noun {
				t.Errorf("%s is %s%s of %s", s.Method.FullName(), verb, noun, e.FullMethod)
			}
			have[verb]++
		}
		if paged {
			have["paged"]++
		}
		if paged && len(e.Streams) == 0 || followed != o.GetFeed() {
			t.Errorf("%s pages: %t, feed: %t, streams: %d", e.FullMethod, paged, o.GetFeed(), len(e.Streams))
		}
	}
	of := surfaceFacts(t).Methods
	want := map[string]int{"unary": of.Unary, "paged": of.Stream, "Stream": of.Stream, "Follow": of.Follow}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("methods (-want +have):\n%s", diff)
	}
}

func mustLoadEndpoints(t *testing.T) []*endpoint.Endpoint {
	t.Helper()
	endpoints, err := loadEndpoints()
	if err != nil {
		t.Fatal(err)
	}
	return endpoints
}

// verbs are the methods whose names differ from their operationIds, one a line: area, name and operationId.
//
//go:embed testdata/verbs.txt
var verbs string

func TestSurface_verbs(t *testing.T) {
	t.Parallel()
	want, have := map[string]string{}, map[string]string{}
	for line := range strings.Lines(verbs) {
		area, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, id, _ := strings.Cut(rest, " ")
		want[id] = area + " " + name
	}
	for _, e := range mustLoadEndpoints(t) {
		id, name := e.Operation.GetId(), string(e.Method.Name())
		if !strings.EqualFold(strings.TrimPrefix(id, "V1"), name) || want[id] != "" {
			have[id] = strings.Split(string(e.Method.FullName()), ".")[1] + " " + name
		}
	}
	if diff := cmp.Diff(want, have); diff != "" || len(want) != 148 {
		t.Errorf("%d methods that are not named as their operationIds (-want +have):\n%s", len(want), diff)
	}
}

// No two message names of a package differ only by a number, and no field exists only because of an earlier
// one.
func TestSurface_noNumberedNames(t *testing.T) {
	t.Parallel()
	numbered := 0
	for _, files := range surfaceFiles(t) {
		for _, file := range files {
			for i := range file.Messages().Len() {
				m := file.Messages().Get(i)
				plain := strings.TrimRight(string(m.Name()), "0123456789")
				if plain != string(m.Name()) {
					numbered++
				}
				if other := file.Messages().ByName(protoreflect.Name(plain)); other != nil && other != m {
					t.Errorf("%s is beside %s", m.FullName(), other.FullName())
				}
				for i := range m.Fields().Len() {
					f := m.Fields().Get(i)
					rule, _ := proto.GetExtension(f.Options(), apiv1.E_Field).(*apiv1.Field)
					if rule.GetRetired() || int(f.Number()) > m.Fields().Len() {
						t.Errorf("%s = %d of %d fields", f.FullName(), f.Number(), m.Fields().Len())
					}
				}
			}
		}
	}
	if numbered != 18 {
		t.Errorf("%d messages end in a number, want 18: zones of trailers, and J1939", numbered)
	}
}

// Every file has the options that give good names in each language.
func TestSurface_fileOptions(t *testing.T) {
	t.Parallel()
	count := 0
	all := surfaceFiles(t)
	for _, area := range slices.Sorted(maps.Keys(all)) {
		name := camel(area)
		for _, file := range all[area] {
			count++
			stem := strings.TrimSuffix(file.Path()[strings.LastIndex(file.Path(), "/")+1:], ".proto")
			want := &descriptorpb.FileOptions{
				CsharpNamespace:      proto.String("SamsaraGateway." + name + ".V1"),
				GoPackage:            proto.String("samsara.internal/gateway/gen/" + area + "/v1;" + strings.ReplaceAll(area, "_", "") + "v1"),
				JavaMultipleFiles:    proto.Bool(true),
				JavaOuterClassname:   proto.String(camel(stem) + "Proto"),
				JavaPackage:          proto.String("internal.samsara.gateway." + area + ".v1"),
				ObjcClassPrefix:      proto.String("SG" + name + "V1"),
				PhpMetadataNamespace: proto.String(`SamsaraGateway\` + name + `\V1\Metadata`),
				PhpNamespace:         proto.String(`SamsaraGateway\` + name + `\V1`),
				RubyPackage:          proto.String("SamsaraGateway::" + name + "::V1"),
				SwiftPrefix:          proto.String("SG" + name + "V1"),
			}
			if have := protodesc.ToFileDescriptorProto(file).GetOptions(); !proto.Equal(want, have) {
				t.Errorf("%s has the options %v, want %v", file.Path(), have, want)
			}
		}
	}
	if count < 71 {
		t.Errorf("%d files, want 71 or more", count)
	}
}
