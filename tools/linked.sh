#!/usr/bin/env bash
# Fails if a program links a package that calls methods by a name known only at run time, and prints the
# chain of imports that leads to it. With such a package the linker keeps every exported method of the
# program.
#
#	tools/linked.sh PACKAGE
#
# PACKAGE is the program's, such as ./cmd/gateway.
set -euo pipefail

go list -deps -f '{{$importer := .ImportPath}}{{$importer}}{{range .Imports}}
{{$importer}} {{.}}{{end}}' "$1" | awk -v program="$1" '
	NF == 1 { linked[$1] }
	NF == 2 { importer[$2] = $1 }
	END {
		split("text/template html/template", unwanted)
		for (i in unwanted) {
			if (!(unwanted[i] in linked)) continue
			chain = package = unwanted[i]
			while (package in importer) {
				package = importer[package]
				chain = package " -> " chain
			}
			print program " links " unwanted[i] ", with which the linker keeps every exported method: " chain
			failed = 1
		}
		exit failed
	}' >&2
