package service_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// written is what the code of this package and of those that it gets reasons from writes, without tests.
type written struct {
	// values are the enum values that it uses other than to compare with: they end up in errors.
	values []string
	// metadata are its strings that are keys of metadata.
	metadata []string
	// makers are the files that make an ErrorInfo.
	makers []string
}

func readCode(t *testing.T) written {
	t.Helper()
	var w written
	isKey := regexp.MustCompile(`^(samsara-[a-z-]+|grpc-retry-pushback-ms|x-request-id|trace(parent|state|response))$`)
	for _, pattern := range []string{"*.go", "../upstream/*.go", "../internal/authn/*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CaseClause: // Values that are compared with are not written.
					n.List = nil
				case *ast.BinaryExpr:
					return n.Op != token.EQL && n.Op != token.NEQ
				case *ast.SelectorExpr:
					if of, ok := n.X.(*ast.Ident); ok && of.Name == "apiv1" {
						w.values = append(w.values, n.Sel.Name)
					}
				case *ast.CompositeLit:
					if made, ok := n.Type.(*ast.SelectorExpr); ok && made.Sel.Name == "ErrorInfo" {
						w.makers = append(w.makers, name)
					}
				case *ast.BasicLit:
					if text, err := strconv.Unquote(n.Value); err == nil && isKey.MatchString(text) && pattern == "*.go" {
						w.metadata = append(w.metadata, text)
					}
				}
				return true
			})
		}
	}
	return w
}

// valuesOf returns the names that Go has for the values of an enum, except for the one that is unspecified.
func valuesOf(enum protoreflect.EnumDescriptor) []string {
	var names []string
	for i := 1; i < enum.Values().Len(); i++ {
		names = append(names, string(enum.Name())+"_"+string(enum.Values().Get(i).Name()))
	}
	return names
}

// TestReasons_codeAndFileAgree makes sure that the gateway writes every reason and every key in errors.proto.
// The types make sure that it writes no others: an ErrorInfo is made of nothing else.
func TestReasons_codeAndFileAgree(t *testing.T) {
	t.Parallel()
	code := readCode(t)
	for _, enum := range []protoreflect.EnumDescriptor{apiv1.Reason(0).Descriptor(), apiv1.ErrorInfoKey(0).Descriptor()} {
		for _, value := range valuesOf(enum) {
			if !slices.Contains(code.values, value) {
				t.Errorf("errors.proto has %s, and the gateway never writes it", value)
			}
		}
	}
	for _, name := range code.makers {
		if name != "../upstream/error.go" {
			t.Errorf("%s makes an ErrorInfo, which is for upstream/error.go alone", name)
		}
	}
	if len(code.makers) == 0 {
		t.Error("nobody makes an ErrorInfo")
	}
}

// TestMetadata_codeAndFileAgree compares the keys of metadata in the code with those in errors.proto.
func TestMetadata_codeAndFileAgree(t *testing.T) {
	t.Parallel()
	var want []string
	for _, enum := range []protoreflect.EnumDescriptor{apiv1.RequestMetadata(0).Descriptor(), apiv1.ResponseMetadata(0).Descriptor()} {
		for i := 1; i < enum.Values().Len(); i++ {
			key, _ := proto.GetExtension(enum.Values().Get(i).Options(), apiv1.E_Key).(string)
			want = append(want, key)
		}
	}
	got := readCode(t).metadata
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(slices.Compact(want), slices.Compact(got)); diff != "" {
		t.Errorf("keys of metadata (-errors.proto +code):\n%s", diff)
	}
}
