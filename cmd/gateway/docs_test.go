package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// root is the repository, from the folder of these tests.
const root = "../.."

// document is a Markdown file. Its path is relative to root, with slashes.
type document struct {
	path  string
	lines []string
}

// fence is a fenced block of a document: its language, and its lines from first to before last, without the
// closing line.
type fence struct {
	language    string
	first, last int
}

// documents returns all Markdown files of the repository, except test data.
func documents(t *testing.T) []document {
	t.Helper()
	var all []document
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin", "testdata", "node_modules"}, entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		all = append(all, readDocument(t, path))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func readDocument(t *testing.T, path string) document {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	name, err := filepath.Rel(root, path)
	if err != nil {
		t.Fatal(err)
	}
	return document{filepath.ToSlash(name), strings.Split(string(text), "\n")}
}

// docs returns README.md and the files in docs/.
func docs(t *testing.T) []document {
	t.Helper()
	return slices.DeleteFunc(documents(t), func(d document) bool {
		return d.path != "README.md" && !strings.HasPrefix(d.path, "docs/")
	})
}

// at returns the path and number of a line.
func (d document) at(line int) string { return d.path + ":" + strconv.Itoa(line+1) }

// fences returns the fenced blocks of the document.
func (d document) fences() []fence {
	var all []fence
	open, mark := false, ""
	for i, line := range d.lines {
		text := strings.TrimSpace(line)
		switch {
		case open && text == mark:
			all[len(all)-1].last = i
			open = false
		case !open && strings.HasPrefix(text, "```"):
			mark = "```"
			all = append(all, fence{language: strings.TrimPrefix(text, mark), first: i + 1, last: len(d.lines)})
			open = true
		}
	}
	return all
}

// prose returns the lines of the document, with those of fenced blocks empty.
func (d document) prose() []string {
	lines := slices.Clone(d.lines)
	for _, f := range d.fences() {
		clear(lines[f.first-1 : min(f.last+1, len(lines))])
	}
	return lines
}

// table returns the cells of the rows of the one table whose head begins with a text.
func (d document) table(t *testing.T, head string) [][]string {
	t.Helper()
	at := slices.IndexFunc(d.lines, func(line string) bool { return strings.HasPrefix(line, head) })
	if at < 0 {
		t.Fatalf("%s has no table whose head begins with %q", d.path, head)
	}
	var rows [][]string
	for _, line := range d.lines[at+2:] {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// anchors returns the anchors of the headings of the document, as GitHub makes them.
func (d document) anchors() map[string]bool {
	found := make(map[string]bool)
	for _, line := range d.prose() {
		level := len(line) - len(strings.TrimLeft(line, "#"))
		if level == 0 || level > 6 || !strings.HasPrefix(line[level:], " ") {
			continue
		}
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, strings.TrimSpace(line[level:]))
		for n, same := 1, slug; found[slug]; n++ {
			slug = fmt.Sprintf("%s-%d", same, n)
		}
		found[slug] = true
	}
	return found
}

// TestDocs_links checks every link of every Markdown file, except links to the network: its file and its
// anchor exist. It also checks that each path of the repository in the documentation exists.
func TestDocs_links(t *testing.T) {
	t.Parallel()
	all := documents(t)
	anchors := make(map[string]map[string]bool, len(all))
	for _, d := range all {
		anchors[d.path] = d.anchors()
	}
	var (
		code   = regexp.MustCompile("`[^`]*`")
		link   = regexp.MustCompile(`\]\(<?([^()\s>]+)>?(?: "[^"]*")?\)|^\[[^\]]+\]: <?([^\s>]+)>?`)
		ours   = regexp.MustCompile("^`((?:cmd|service|upstream|internal|proto|gen|bench|tools|docs|findings|\\.ci)/[\\w./-]*)`$")
		exists = func(path string) bool {
			_, err := os.Stat(filepath.Join(root, filepath.FromSlash(path)))
			return err == nil
		}
		links, paths, network int
	)
	for _, d := range all {
		for i, line := range d.prose() {
			for _, span := range code.FindAllString(line, -1) {
				// A decision may name a file that is gone.
				path := ours.FindStringSubmatch(span)
				if path == nil || strings.HasPrefix(d.path, "docs/decisions/") || d.path == "proto/CHANGELOG.md" {
					continue
				}
				if paths++; !exists(path[1]) {
					t.Errorf("%s: %s is not in the repository", d.at(i), path[1])
				}
			}
			for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(line, ""), -1) {
				target := found[1] + found[2]
				if strings.Contains(target, "://") {
					network++
					continue
				}
				links++
				file, anchor, hasAnchor := strings.Cut(target, "#")
				path := d.path
				if file != "" {
					path = filepath.ToSlash(filepath.Join(filepath.Dir(d.path), filepath.FromSlash(file)))
				}
				switch {
				case !exists(path):
					t.Errorf("%s: the link to %s leads nowhere", d.at(i), target)
				case hasAnchor && !anchors[path][anchor]:
					t.Errorf("%s: %s has no heading for the link to %s", d.at(i), path, target)
				}
			}
		}
	}
	if links < 50 || paths < 50 {
		t.Errorf("%d links and %d paths were found, want at least 50 of each", links, paths)
	}
	t.Logf("%d files: %d links and %d paths of the repository lead somewhere; %d links into the network were not followed",
		len(all), links, paths, network)
}

// TestDocs_targets checks that each make target in the documentation exists.
func TestDocs_targets(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := make(map[string]bool)
	for _, line := range regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindAllStringSubmatch(string(makefile), -1) {
		for target := range strings.FieldsSeq(line[1]) {
			targets[target] = true
		}
	}
	for _, line := range regexp.MustCompile(`(?m)^TOOLS := (.*)$`).FindAllStringSubmatch(string(makefile), -1) {
		for tool := range strings.FieldsSeq(line[1]) {
			targets["bin/"+tool] = true
		}
	}
	called := regexp.MustCompile("(?:^|`|\\$ )make((?: [a-z][a-z/-]*)+)(?:$|[`#;&|]| +[#`'A-Z&|])")
	named := 0
	for _, d := range docs(t) {
		for i, line := range d.lines {
			if !strings.Contains(line, "`make ") && !regexp.MustCompile(`^(\$ )?make `).MatchString(line) {
				continue
			}
			for _, call := range called.FindAllStringSubmatch(line, -1) {
				for target := range strings.FieldsSeq(call[1]) {
					if named++; !targets[target] {
						t.Errorf("%s: make has no target %s", d.at(i), target)
					}
				}
			}
		}
	}
	if named < 30 {
		t.Errorf("%d targets were found, want at least 30", named)
	}
	t.Logf("make targets are named %d times", named)
}

// TestDocs_size bounds the size of the README.
func TestDocs_size(t *testing.T) {
	t.Parallel()
	readme, err := os.Stat(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if size := readme.Size(); size > 8<<10 {
		t.Errorf("README.md has %d bytes, want at most %d", size, 8<<10)
	}
}

// repeats returns who repeats a call, in the words of the tables.
func repeats(r apiv1.Repeat) string {
	switch r {
	case apiv1.Repeat_REPEAT_NO:
		return "no"
	case apiv1.Repeat_REPEAT_BY_GATEWAY:
		return "by the gateway"
	case apiv1.Repeat_REPEAT_BY_CALLER:
		return "by the caller"
	default:
		return r.String()
	}
}

// rulings returns what errors.proto says of each reason, in the words of the tables.
func rulings() map[apiv1.Reason]string {
	all := make(map[apiv1.Reason]string)
	values := apiv1.Reason(0).Descriptor().Values()
	for i := 1; i < values.Len(); i++ {
		value := values.Get(i)
		verdict, _ := proto.GetExtension(value.Options(), apiv1.E_Verdict).(*apiv1.Verdict)
		all[apiv1.Reason(value.Number())] = verdict.GetCode() + ", " + repeats(verdict.GetRepeat())
	}
	return all
}

// ruling returns the text of a row: a code, and who repeats the call, without the conditions.
func ruling(code, repeated string) string {
	repeated, _, _ = strings.Cut(repeated, ",")
	return strings.Trim(code, "`") + ", " + repeated
}

// TestDocs_reasons compares the table of reasons with errors.proto: each reason has one row, with its code
// and who repeats the call.
func TestDocs_reasons(t *testing.T) {
	t.Parallel()
	got := make(map[string]string)
	for _, row := range readDocument(t, root+"/docs/errors.md").table(t, "| What happened | Reason |") {
		if len(row) != 4 {
			t.Fatalf("a row has %d cells, want 4: %q", len(row), row)
		}
		for reason := range strings.SplitSeq(row[1], ", ") {
			reason = strings.Trim(reason, "`")
			if got[reason] != "" {
				t.Errorf("%s has two rows", reason)
			}
			got[reason] = ruling(row[2], row[3])
		}
	}
	want := make(map[string]string)
	for reason, says := range rulings() {
		want[strings.TrimPrefix(reason.String(), "REASON_")] = says
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-errors.proto +docs/errors.md):\n%s", diff)
	}
}

// TestDocs_statuses compares the table of statuses in the README with errors.proto.
func TestDocs_statuses(t *testing.T) {
	t.Parallel()
	got := make(map[apiv1.Reason]string)
	for _, row := range readDocument(t, root+"/README.md").table(t, "| Samsara answers | gRPC code |") {
		if len(row) != 3 {
			t.Fatalf("a row has %d cells, want 3: %q", len(row), row)
		}
		for status := range strings.SplitSeq(row[0], ", ") {
			first, last, isRange := strings.Cut(status, " to ")
			if !isRange {
				last = first
			}
			switch from, err := strconv.Atoi(first); {
			case status == "every other 4XX":
				got[apiv1.Reason_REASON_HTTP_4XX] = ruling(row[1], row[2])
			case status == "every other 5XX":
				got[apiv1.Reason_REASON_HTTP_5XX] = ruling(row[1], row[2])
			case status == "no answer":
			case err != nil:
				t.Errorf("%q is not a status", status)
			default:
				to, err := strconv.Atoi(last)
				if err != nil {
					t.Errorf("%q is not a status", last)
				}
				for ; from <= to; from++ {
					got[apiv1.Reason(from)] = ruling(row[1], row[2])
				}
			}
		}
	}
	want := rulings()
	for reason := range want {
		if reason < 400 { // A reason for an HTTP status has a number of at least 400.
			delete(want, reason)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statuses (-errors.proto +README.md):\n%s", diff)
	}
}

// packageFolders returns the folders of the packages of the product, relative to root and with slashes.
func packageFolders(t *testing.T) map[string]bool {
	t.Helper()
	folders := make(map[string]bool)
	for _, top := range []string{"cmd", "service", "upstream", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && entry.Name() == "testdata":
				return fs.SkipDir
			case filepath.Ext(path) == ".go":
				folder, err := filepath.Rel(root, filepath.Dir(path))
				folders[filepath.ToSlash(folder)] = true
				return err
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return folders
}

// TestDocs_packages compares the table of packages with the folders that have Go files.
func TestDocs_packages(t *testing.T) {
	t.Parallel()
	want := packageFolders(t)
	got := make(map[string]bool)
	for _, row := range readDocument(t, root+"/docs/architecture.md").table(t, "| Folder | What is there |") {
		for folder := range strings.SplitSeq(row[0], ", ") {
			folder = strings.Trim(folder, "`")
			if top, _, _ := strings.Cut(folder, "/"); slices.Contains([]string{"cmd", "service", "upstream", "internal"}, top) {
				got[folder] = true
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packages (-repository +docs/architecture.md):\n%s", diff)
	}
}
