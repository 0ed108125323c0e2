// Modzip packs a folder as a version of a Go module, as a module proxy has it, so that GOPROXY=file://OUT
// serves it:
//
//	modzip MODULE VERSION FOLDER OUT
//
// The folder has the module's go.mod. What is there already is written over. The same folder makes the same
// bytes.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: modzip MODULE VERSION FOLDER OUT")
		os.Exit(2)
	}
	if err := pack(module.Version{Path: os.Args[1], Version: os.Args[2]}, os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "modzip:", err)
		os.Exit(1)
	}
}

func pack(m module.Version, folder, out string) error {
	if err := module.Check(m.Path, m.Version); err != nil {
		return err
	}
	escaped, err := module.EscapePath(m.Path)
	if err != nil {
		return err
	}
	out = filepath.Join(out, escaped, "@v")
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // a proxy is for everybody to read
		return err
	}
	mod, err := os.ReadFile(filepath.Join(folder, "go.mod")) //nolint:gosec // the caller names the folder
	if err != nil {
		return err
	}
	info, err := json.Marshal(struct{ Version string }{m.Version})
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{m.Version + ".mod": mod, m.Version + ".info": info, "list": []byte(m.Version + "\n")} {
		if err := os.WriteFile(filepath.Join(out, name), content, 0o644); err != nil { //nolint:gosec // a proxy is for everybody to read
			return err
		}
	}
	packed, err := os.Create(filepath.Join(out, m.Version+".zip")) //nolint:gosec // the caller names the folder
	if err != nil {
		return err
	}
	if err := zip.CreateFromDir(packed, m, folder); err != nil {
		_ = packed.Close()
		return err
	}
	return packed.Close()
}
