package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/gen/surface"
	"samsara.internal/gateway/internal/config"
)

// The gateway asks Samsara for the version of the document that its surface is made from.
func TestVersion_ofTheDocument(t *testing.T) {
	t.Parallel()
	if surface.SamsaraVersion != config.APIDocumentVersion {
		t.Errorf("the surface is of version %q, and the gateway asks for %q", surface.SamsaraVersion, config.APIDocumentVersion)
	}
}

// The generated packages and SURFACE.json say the same about the surface.
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
