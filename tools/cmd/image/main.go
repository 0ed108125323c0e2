// Image packs the gateway as an OCI image in a folder, without a daemon, and unpacks it:
//
//	image build -out DIR -arch amd64=BINARY [-arch arm64=BINARY] -version V -revision R -document D -surface S -created UNIX
//	image unpack -layout DIR -arch amd64 ROOT
//
// The image has the gateway, the certificate authorities that Mozilla trusts as golang.org/x/crypto has them, and nothing
// else. It runs as user 65532, writes nothing, and listens as the gateway is told. The same arguments and binaries make
// the same bytes. build replaces DIR, which must be an image or not be there.
package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is who the gateway runs as: the number that is usual for an image without root.
const user = "65532:65532"

// bundlePath is where Go looks for authorities first.
const bundlePath = "etc/ssl/certs/ca-certificates.crt"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("usage: image build|unpack [flags]")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	switch args[0] {
	case "build":
		b := build{binaries: make(map[string]string)}
		flags.StringVar(&b.out, "out", "", "folder of the image")
		flags.StringVar(&b.version, "version", "", "version of the gateway")
		flags.StringVar(&b.revision, "revision", "", "commit that it is built from")
		flags.StringVar(&b.document, "document", "", "version of Samsara's document")
		flags.StringVar(&b.surface, "surface", "", "version of the API surface")
		created := flags.Int64("created", 0, "time of all that is in the image, as Unix time")
		flags.Func("arch", "ARCH=BINARY; may be repeated", func(text string) error {
			arch, binary, ok := strings.Cut(text, "=")
			if !ok {
				return errors.New("not of the form ARCH=BINARY")
			}
			b.binaries[arch] = binary
			return nil
		})
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		b.created = time.Unix(*created, 0).UTC()
		return b.run()
	case "unpack":
		from := flags.String("layout", "", "folder of the image")
		arch := flags.String("arch", "amd64", "architecture to unpack")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return unpack(*from, *arch, flags.Arg(0))
	default:
		return fmt.Errorf("%q is not a command", args[0])
	}
}

// build is what an image is made from.
type build struct {
	out                                  string
	version, revision, document, surface string
	created                              time.Time
	binaries                             map[string]string // by architecture
}

func (b *build) run() error {
	for name, value := range map[string]string{"out": b.out, "version": b.version, "revision": b.revision, "document": b.document, "surface": b.surface} {
		if value == "" {
			return fmt.Errorf("-%s: is missing", name)
		}
	}
	if len(b.binaries) == 0 {
		return errors.New("-arch: is missing")
	}
	authorities, err := b.layer("", map[string][]byte{bundlePath: authorities()})
	if err != nil {
		return err
	}
	index := mutate.IndexMediaType(v1.ImageIndex(empty.Index), types.OCIImageIndex)
	for _, arch := range slices.Sorted(maps.Keys(b.binaries)) {
		image, err := b.image(arch, authorities)
		if err != nil {
			return fmt.Errorf("%s: %w", arch, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        image,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	index, ok := mutate.Annotations(index, b.labels()).(v1.ImageIndex)
	if !ok {
		return errors.New("an index with annotations is no index any more")
	}
	return b.write(index)
}

// write replaces the folder by one with the index.
func (b *build) write(index v1.ImageIndex) error {
	if _, err := os.Stat(b.out); err == nil {
		if _, err := os.Stat(filepath.Join(b.out, "oci-layout")); err != nil {
			return fmt.Errorf("%s is there, and is no image", b.out)
		}
		if err := os.RemoveAll(b.out); err != nil {
			return err
		}
	}
	path, err := layout.Write(b.out, empty.Index)
	if err != nil {
		return err
	}
	// A tag must not have a plus sign.
	ref := strings.ReplaceAll(b.version, "+", "-")
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": ref})); err != nil {
		return err
	}
	// What is in memory has empty annotations where a file has none: only the file is valid.
	written, err := indexIn(b.out)
	if err != nil {
		return err
	}
	if err := validate.Index(written); err != nil {
		return fmt.Errorf("%s is not valid: %w", b.out, err)
	}
	digest, err := written.Digest()
	if err != nil {
		return err
	}
	fmt.Println(ref + "@" + digest.String()) //nolint:forbidigo // this is what the command is for
	return nil
}

// labels are those of the image and of its index.
func (b *build) labels() map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":        "samsara-gateway",
		"org.opencontainers.image.description":  "The whole Samsara REST API as typed gRPC",
		"org.opencontainers.image.version":      b.version,
		"org.opencontainers.image.revision":     b.revision,
		"org.opencontainers.image.created":      b.created.Format(time.RFC3339),
		"internal.samsara.gateway.api-document": b.document,
		"internal.samsara.gateway.surface":      b.surface,
	}
}

// image returns the image of an architecture.
func (b *build) image(arch string, authorities v1.Layer) (v1.Image, error) {
	binary, err := os.ReadFile(b.binaries[arch])
	if err != nil {
		return nil, err
	}
	program, err := b.layer("gateway", map[string][]byte{"gateway": binary})
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	made := v1.Time{Time: b.created}
	image, err = mutate.Append(image,
		mutate.Addendum{Layer: authorities, History: v1.History{Created: made, CreatedBy: "tools/cmd/image: certificate authorities"}},
		mutate.Addendum{Layer: program, History: v1.History{Created: made, CreatedBy: "tools/cmd/image: the gateway"}},
	)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Created, config.OS, config.Architecture = made, "linux", arch
	config.Config = v1.Config{
		Entrypoint: []string{"/gateway"}, User: user, WorkingDir: "/", Labels: b.labels(), StopSignal: "SIGTERM",
		ExposedPorts: map[string]struct{}{"50051/tcp": {}, "9464/tcp": {}},
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, err
	}
	annotated, ok := mutate.Annotations(image, b.labels()).(v1.Image)
	if !ok {
		return nil, errors.New("an image with annotations is no image any more")
	}
	return annotated, nil
}

// layer returns a layer with files, and the folders that they are in. All belong to root and can be read by everybody;
// the program may be executed too.
func (b *build) layer(program string, files map[string][]byte) (v1.Layer, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	made := make(map[string]bool)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		parts := strings.Split(path, "/")
		for i := 1; i < len(parts); i++ {
			folder := strings.Join(parts[:i], "/") + "/"
			if made[folder] {
				continue
			}
			made[folder] = true
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder, Mode: 0o755, ModTime: b.created, Format: tar.FormatPAX}); err != nil {
				return nil, err
			}
		}
		header := tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o444, Size: int64(len(files[path])), ModTime: b.created, Format: tar.FormatPAX}
		if path == program {
			header.Mode = 0o555
		}
		if err := w.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[path]); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompression(compression.GZip), tarball.WithCompressionLevel(9))
}

// authorities returns a PEM file. It leaves out authorities with a constraint, which the file could not express.
func authorities() []byte {
	var all bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			all.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return all.Bytes()
}

// indexIn returns the index of all architectures in a folder.
func indexIn(folder string) (v1.ImageIndex, error) {
	outer, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return nil, err
	}
	manifest, err := outer.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("%s has %d images, and not one", folder, len(manifest.Manifests))
	}
	return outer.ImageIndex(manifest.Manifests[0].Digest)
}

// unpack writes the files of an architecture's image below root, with their modes.
func unpack(folder, arch, root string) error {
	if root == "" {
		return errors.New("the folder to unpack to is missing")
	}
	index, err := indexIn(folder)
	if err != nil {
		return err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(manifest.Manifests, func(d v1.Descriptor) bool { return d.Platform != nil && d.Platform.Architecture == arch })
	if at < 0 {
		return fmt.Errorf("%s has no image for %s", folder, arch)
	}
	image, err := index.Image(manifest.Manifests[at].Digest)
	if err != nil {
		return err
	}
	files := mutate.Extract(image)
	defer func() { _ = files.Close() }() // It has been read.
	within, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer func() { _ = within.Close() }() // Nothing is written through it.
	for r := tar.NewReader(files); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unpackFile(within, header, r); err != nil {
			return err
		}
	}
}

func unpackFile(within *os.Root, header *tar.Header, content io.Reader) error {
	name, mode := strings.TrimSuffix(header.Name, "/"), header.FileInfo().Mode().Perm()
	if header.Typeflag == tar.TypeDir {
		if err := within.MkdirAll(name, mode); err != nil {
			return err
		}
		return within.Chmod(name, mode) // whatever the umask
	}
	file, err := within.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Chmod(mode), file.Close())
}
