// Command locked is what go vet -vettool runs: see package locked.
package main

import (
	"golang.org/x/tools/go/analysis/unitchecker"

	"samsara.internal/gateway/tools/locked"
)

func main() { unitchecker.Main(locked.New()) }
