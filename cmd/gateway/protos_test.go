package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"
)

// readImage reads a FileDescriptorSet, and drops where declarations stand, and their comments.
func readImage(t *testing.T, file string) map[string]*descriptorpb.FileDescriptorProto {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	files := make(map[string]*descriptorpb.FileDescriptorProto, len(set.GetFile()))
	for _, f := range set.GetFile() {
		f.SourceCodeInfo = nil
		f.ProtoReflect().SetUnknown(nil) // What buf adds to each file of an image.
		files[f.GetName()] = f
	}
	return files
}

// readTree returns the files of a folder, by their paths.
func readTree(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := fs.WalkDir(os.DirFS(folder), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(filepath.Join(folder, path))
		files[path] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestProtos_compileToWhatIsServed has buf compile the files that the gateway writes, and compares what comes
// of it with the image beside them and with what the gateway is linked from.
func TestProtos_compileToWhatIsServed(t *testing.T) {
	t.Parallel()
	folder, compiled := filepath.Join(t.TempDir(), "protos"), filepath.Join(t.TempDir(), "compiled.binpb")
	said, err := output(t, "gateway", "protos", folder)
	if err != nil {
		t.Fatalf("gateway protos: %v\n%s", err, said)
	}
	if said, err := output(t, "buf", "build", folder, "--exclude-source-info", "--output", compiled); err != nil {
		t.Fatalf("buf build: %v\n%s", err, said)
	}
	image, fromFiles := readImage(t, filepath.Join(folder, "image.binpb")), readImage(t, compiled)
	// What comes with every protoc is not written. Of it buf has other options, which no generator sees.
	written := func(files map[string]*descriptorpb.FileDescriptorProto) map[string]*descriptorpb.FileDescriptorProto {
		own := maps.Clone(files)
		maps.DeleteFunc(own, func(path string, _ *descriptorpb.FileDescriptorProto) bool {
			return strings.HasPrefix(path, "google/protobuf/")
		})
		return own
	}
	if diff := cmp.Diff(written(image), written(fromFiles), protocmp.Transform()); diff != "" {
		t.Errorf("the files say something else than the image (-image +files):\n%s", diff)
	}
	for _, want := range []string{"google/rpc/status.proto", "google/rpc/error_details.proto", "google/protobuf/struct.proto", "samsara_gateway/tags/v1/tags.proto"} {
		if image[want] == nil {
			t.Errorf("the image lacks %s", want)
		}
	}
	for path, f := range image {
		linked, err := protoregistry.GlobalFiles.FindFileByPath(path)
		if err != nil {
			t.Errorf("%s is not linked: %v", path, err)
			continue
		}
		if diff := cmp.Diff(protodesc.ToFileDescriptorProto(linked), f, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-linked +image):\n%s", path, diff)
		}
	}
}

// TestProtos_commentedAndRepeatable looks for the comments of the repository's own files in those that the
// gateway writes, twice.
func TestProtos_commentedAndRepeatable(t *testing.T) {
	t.Parallel()
	var written [2]map[string]string
	for i := range written {
		folder := filepath.Join(t.TempDir(), "protos")
		if said, err := output(t, "gateway", "protos", folder); err != nil {
			t.Fatalf("gateway protos: %v\n%s", err, said)
		}
		written[i] = readTree(t, folder)
	}
	if diff := cmp.Diff(written[0], written[1]); diff != "" {
		t.Errorf("written twice (-first +second):\n%s", diff)
	}
	comments := func(text string) []string {
		var all []string
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "//") {
				all = append(all, strings.TrimSpace(strings.TrimPrefix(line, "//")))
			}
		}
		return all
	}
	for path, own := range readTree(t, "../../proto") {
		if !strings.HasSuffix(path, ".proto") {
			continue
		}
		if diff := cmp.Diff(comments(own), comments(written[0][path])); diff != "" {
			t.Errorf("%s: comments (-ours +written):\n%s", path, diff)
		}
	}
}

// TestProtos_refusesWhatItCannotWrite tries folders that are not free.
func TestProtos_refusesWhatItCannotWrite(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "ours.proto"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a folder with something in it": {[]string{folder}, "gateway: protos: " + folder + ": the folder is not empty\n"},
		"a file":                        {[]string{filepath.Join(folder, "ours.proto")}, "not a directory"},
		"no folder":                     {nil, "gateway: protos needs the folder to write to\n"},
		"an area that there is not":     {[]string{"--areas=tags,vehicels", "new"}, `gateway: protos: there is no area "vehicels" (similar: vehicles`},
		"two folders":                   {[]string{"a", "b"}, "gateway: protos takes at most 1 arguments, got 2\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said, err := output(t, "gateway", append([]string{"protos"}, test.args...)...)
			if err == nil || !strings.Contains(said, test.want) {
				t.Errorf("got %v and %q, want %q", err, said, test.want)
			}
		})
	}
	if got := readTree(t, folder); len(got) != 1 {
		t.Errorf("there are %d files, want the one that was there", len(got))
	}
}

// TestProtos_ofSomeAreas has buf compile the files of two areas alone.
func TestProtos_ofSomeAreas(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "protos")
	if said, err := output(t, "gateway", "protos", "--areas", "tags", "--areas=contacts", folder); err != nil {
		t.Fatalf("gateway protos: %v\n%s", err, said)
	}
	if said, err := output(t, "buf", "build", folder); err != nil {
		t.Fatalf("buf build: %v\n%s", err, said)
	}
	areas := make(map[string]bool)
	for path := range readTree(t, folder) {
		areas[filepath.Dir(path)] = true
	}
	want := map[string]bool{".": true, "google/rpc": true}
	for _, area := range []string{"api", "contacts", "tags", "types"} {
		want["samsara_gateway/"+area+"/v1"] = true
	}
	if diff := cmp.Diff(want, areas); diff != "" {
		t.Errorf("folders (-want +got):\n%s", diff)
	}
}
