package main

import (
	"encoding/json"
	"testing"

	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/proto"
)

// The version that the gateway asks Samsara for is that of the document of its surface.
func TestVersion_ofDocument(t *testing.T) {
	t.Parallel()
	var f struct {
		SamsaraVersion string `json:"samsara_version"`
	}
	if err := json.Unmarshal(proto.Surface, &f); err != nil {
		t.Fatal(err)
	}
	if f.SamsaraVersion != config.APIDocumentVersion {
		t.Errorf("the surface is of version %q, and the gateway asks for %q", f.SamsaraVersion, config.APIDocumentVersion)
	}
}
