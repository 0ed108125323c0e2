package locked_test

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"samsara.internal/gateway/tools/locked"
)

func TestAnalyzer_fixtures(t *testing.T) {
	t.Parallel()
	analysistest.Run(t, analysistest.TestData(), locked.New(), "a")
}
