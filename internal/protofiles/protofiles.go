package protofiles

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/jhump/protoreflect/v2/protoprint"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"samsara.internal/gateway/gen"
	"samsara.internal/gateway/internal/similar"
)

const (
	// surface is the folder of the API's own files, and wellKnown of the files that come with every protoc.
	surface   = "samsara_gateway/"
	wellKnown = "google/protobuf/"
	// common and types are the folders of surface that are no areas. common is what calls of all areas have in
	// common, and types are the messages of several areas.
	common = "api"
	types  = "types"
	// ImageName is the name of the image that Write writes.
	ImageName = "image.binpb"
)

// Comments returns the source code info of each file of the surface, by its path: comments, and the
// positions of declarations. Generated code lacks it.
func Comments() (map[string]*descriptorpb.SourceCodeInfo, error) {
	unpacked, err := gzip.NewReader(strings.NewReader(gen.Comments()))
	if err != nil {
		return nil, fmt.Errorf("comments: %w", err)
	}
	raw, err := io.ReadAll(unpacked)
	if err != nil {
		return nil, fmt.Errorf("comments: %w", err)
	}
	var files descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(raw, &files); err != nil {
		return nil, fmt.Errorf("comments: %w", err)
	}
	all := make(map[string]*descriptorpb.SourceCodeInfo, len(files.GetFile()))
	for _, f := range files.GetFile() {
		all[f.GetName()] = f.GetSourceCodeInfo()
	}
	return all, nil
}

// Areas returns the names of the areas of the API, such as tags, sorted.
func Areas() []string {
	var areas []string
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if area := areaOf(f); area != "" && area != common && area != types {
			areas = append(areas, area)
		}
		return true
	})
	slices.Sort(areas)
	return slices.Compact(areas)
}

// areaOf returns the area of a file, or common or types; empty if the file is not of the surface.
func areaOf(f protoreflect.FileDescriptor) string {
	rest, ok := strings.CutPrefix(f.Path(), surface)
	if !ok {
		return ""
	}
	area, _, _ := strings.Cut(rest, "/")
	return area
}

// Image returns the given areas of the surface, or the whole surface if none is given. It has all files that
// they import, the files that calls of all areas have in common, and the files for the details of errors. A
// file comes after the files that it imports, and otherwise in the order of paths. The error names each area
// that does not exist.
func Image(areas ...string) (*descriptorpb.FileDescriptorSet, error) {
	comments, err := Comments()
	if err != nil {
		return nil, err
	}
	if err := check(areas); err != nil {
		return nil, err
	}
	roots := []protoreflect.FileDescriptor{errdetails.File_google_rpc_error_details_proto, rpcstatus.File_google_rpc_status_proto}
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		switch area := areaOf(f); {
		case area == "":
		case area == common, len(areas) == 0, slices.Contains(areas, area):
			roots = append(roots, f)
		}
		return true
	})
	slices.SortFunc(roots, func(a, b protoreflect.FileDescriptor) int { return strings.Compare(a.Path(), b.Path()) })
	image, added := new(descriptorpb.FileDescriptorSet), make(map[string]bool)
	var add func(f protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if added[f.Path()] {
			return
		}
		added[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		file := protodesc.ToFileDescriptorProto(f)
		file.SourceCodeInfo = comments[f.Path()]
		image.File = append(image.File, file)
	}
	for _, f := range roots {
		add(f)
	}
	return image, nil
}

// check refuses areas that do not exist.
func check(areas []string) error {
	known := Areas()
	var problems []string
	for _, area := range areas {
		if slices.Contains(known, area) {
			continue
		}
		problem := fmt.Sprintf("there is no area %q", area)
		if near := similar.Names(area, slices.Values(known), 3); len(near) > 0 {
			problem += " (similar: " + strings.Join(near, ", ") + ")"
		}
		problems = append(problems, problem)
	}
	if len(problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(problems, "; "))
}

// Write writes an Image to a folder: the image as ImageName, and each of its files at its path, except the
// files that come with every protoc. It returns the number of files without the image. It writes the same
// bytes each time. The folder must be empty or not exist, else the error wraps ErrNotEmpty. After any other
// error the folder may have some of the files.
func Write(folder string, image *descriptorpb.FileDescriptorSet) (int, error) {
	files, err := protodesc.NewFiles(image)
	if err != nil {
		return 0, fmt.Errorf("descriptors: %w", err)
	}
	var own []protoreflect.FileDescriptor
	for _, f := range image.GetFile() {
		if strings.HasPrefix(f.GetName(), wellKnown) {
			continue
		}
		d, err := files.FindFileByPath(f.GetName())
		if err != nil {
			return 0, fmt.Errorf("descriptors: %w", err)
		}
		own = append(own, d)
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(image)
	if err != nil {
		return 0, fmt.Errorf("image: %w", err)
	}
	root, err := openEmpty(folder)
	if err != nil {
		return 0, err
	}
	defer root.Close() //nolint:errcheck // closing the handle of a folder writes nothing
	create := func(name string) (io.WriteCloser, error) {
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return nil, err
		}
		return root.Create(name)
	}
	if err := (&protoprint.Printer{}).PrintProtoFiles(own, create); err != nil {
		return 0, err
	}
	return len(own), root.WriteFile(ImageName, raw, 0o644)
}

// openEmpty opens an empty folder. It makes the folder if that does not exist.
func openEmpty(folder string) (*os.Root, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // everybody may read it, as reflection serves it
		return nil, err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("%s: %w", folder, ErrNotEmpty)
	}
	return os.OpenRoot(folder)
}

// ErrNotEmpty means that the folder that Write should write to is not empty.
var ErrNotEmpty = errors.New("the folder is not empty")
