package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// write makes a folder with a module of two packages, whose go.mod has the name.
func write(t *testing.T, name string) string {
	t.Helper()
	folder := t.TempDir()
	for path, content := range map[string]string{
		"go.mod":         "module " + name + "\n\ngo 1.26.0\n",
		"tags/tags.go":   "// Package tags is one.\npackage tags\n",
		"types/types.go": "// Package types is another.\npackage types\n",
	} {
		path = filepath.Join(folder, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// A capital letter is escaped in the paths of a proxy.
func TestPack_goCommandTakesIt(t *testing.T) {
	t.Parallel()
	const name, version = "go.acme.test/Samsara", "v1.2.3"
	out := t.TempDir()
	if err := pack(module.Version{Path: name, Version: version}, write(t, name), out); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "mod", "download", "-json", name+"@"+version)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "GOPROXY=file://"+filepath.ToSlash(out), "GONOPROXY=none", "GONOSUMDB="+name,
		"GOFLAGS=-modcacherw", "GOMODCACHE="+t.TempDir(), "GOWORK=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go mod download: %v\n%s", err, text)
	}
}

func TestPack_sameBytesTwice(t *testing.T) {
	t.Parallel()
	m := module.Version{Path: "go.acme.test/samsara", Version: "v1.2.3"}
	once, twice, folder := t.TempDir(), t.TempDir(), write(t, m.Path)
	// The second time what is there already is written over.
	for _, out := range []string{once, twice, twice} {
		if err := pack(m, folder, out); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for _, suffix := range []string{"list", "v1.2.3.info", "v1.2.3.mod", "v1.2.3.zip"} {
		name := filepath.Join(filepath.FromSlash(m.Path), "@v", suffix)
		a, err := os.ReadFile(filepath.Join(once, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(twice, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s is not the same the second time", name)
		}
		names = append(names, name)
	}
	checked, err := zip.CheckZip(m, filepath.Join(once, names[len(names)-1]))
	if err != nil {
		t.Fatal(err)
	}
	if err := checked.Err(); err != nil || len(checked.Valid) != 3 {
		t.Errorf("the zip has %q, %v, want 3 files", checked.Valid, err)
	}
}

func TestPack_refusesWhatNoProxyHas(t *testing.T) {
	t.Parallel()
	const name = "go.acme.test/samsara"
	for _, test := range []struct{ name, path, version, want string }{
		{"no domain", "samsara", "v1.0.0", `malformed module path "samsara": missing dot in first path element`},
		{"version without v", name, "1.0.0", "@1.0.0: invalid version: not a semantic version"},
		{"major version not in the path", name, "v2.0.0", "@v2.0.0: invalid version: should be v0 or v1, not v2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out := t.TempDir()
			err := pack(module.Version{Path: test.path, Version: test.version}, write(t, test.path), out)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
			if left, _ := os.ReadDir(out); len(left) > 0 {
				t.Errorf("%v was written", left)
			}
		})
	}
}

func TestPack_folderWithoutGoMod(t *testing.T) {
	t.Parallel()
	err := pack(module.Version{Path: "go.acme.test/samsara", Version: "v1.0.0"}, t.TempDir(), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "go.mod: no such file or directory") {
		t.Errorf("%v, want that go.mod is not there", err)
	}
}
