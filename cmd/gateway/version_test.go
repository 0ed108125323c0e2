package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/gen/surface"
	"samsara.internal/gateway/internal/config"
)

// The version that the gateway asks Samsara for is that of the document of its surface.
func TestVersion_ofTheDocument(t *testing.T) {
	t.Parallel()
	if surface.SamsaraVersion != config.APIDocumentVersion {
		t.Errorf("the surface is of version %q, and the gateway asks for %q", surface.SamsaraVersion, config.APIDocumentVersion)
	}
}

// What Go clients say of their surface is what the proto files beside them say.
func TestVersion_ofTheGeneratedPackages(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("../../proto/SURFACE.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), surface.JSON); diff != "" {
		t.Errorf("SURFACE.json (-proto +gen):\n%s", diff)
	}
}
