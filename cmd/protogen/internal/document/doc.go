// Package document reads an OpenAPI document, 3.0 or 3.1, and the corrections of it into types that know
// where in it they come from.
//
// # Guarantees
//
// Whatever is wrong with the document can be shown: a Location names file, line, column and JSON pointer
// of the document as it came, before any correction. The package refuses what is no OpenAPI document, and
// a $ref that leads to nothing or out of the document. A schema that others refer to is one value for all
// of them, so a schema can be within itself.
//
// # Invariants
//
// It takes the document as it is: what of it can be expressed, and how, is for package model. Only this
// package knows kin-openapi, the library that parses the document.
package document
