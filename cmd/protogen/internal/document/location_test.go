package document

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestError_shows(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ö", 200)
	for _, test := range []struct {
		name, text, pointer, want string
	}{
		{"a member", "a: 1\nb:\n  c: 2\nd: 3\ne: 4\nf: 5\n", "/b/c", "x:3:3: #/b/c: wrong\n  1 | a: 1\n  2 | b:\n> 3 |   c: 2\n  4 | d: 3\n  5 | e: 4"},
		{"an entry", "a:\n- 1\n- 2\n", "/a/1", "x:3:3: #/a/1: wrong\n  1 | a:\n  2 | - 1\n> 3 | - 2"},
		{"the document", "a: 1\n", "", "x:1:1: #: wrong\n> 1 | a: 1"},
		{"a name that is escaped", "/a~b: 1\n", "/~1a~0b", "x:1:1: #/~1a~0b: wrong\n> 1 | /a~b: 1"},
		{"the beginning of a pointer that leads nowhere", "a:\n  b: 1\n", "/a/c/d", "x:1:1: #/a/c/d: wrong\n> 1 | a:\n  2 |   b: 1"},
		{"behind an alias", "a: &a\n  b: 1\nc: *a\n", "/c/b", "x:2:3: #/c/b: wrong\n  1 | a: &a\n> 2 |   b: 1\n  3 | c: *a"},
		{"lines that end as on Windows", "a: 1\r\nb: 2\r\n", "/b", "x:2:1: #/b: wrong\n  1 | a: 1\n> 2 | b: 2"},
		{"the characters of a long line", `{"` + long + `":1,"b":2}`, "/b", "x:1:207: #/b: wrong\n> 1 | ..." + strings.Repeat("ö", 86) + `":1,"b":2}`},
		{"nothing of what cannot be read", "a: [\n", "/a", "x: #/a: wrong"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at := Location{&file{name: "x", raw: []byte(test.text)}, test.pointer}
			if diff := cmp.Diff(test.want, at.Errorf("wrong").Error()); diff != "" {
				t.Errorf("the error (-want +have):\n%s", diff)
			}
		})
	}
}

func TestRead_fileMissing(t *testing.T) {
	t.Parallel()
	_, err := Read(t.Context(), filepath.Join(t.TempDir(), "none.json"), "")
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Read: %v, want %v", err, os.ErrNotExist)
	}
}
