// Package overlay corrects an OpenAPI document by an OpenAPI Overlay 1.0
// (https://spec.openapis.org/overlay/v1.0.0.html), and sees to it that no action outlives its reason.
//
// # Guarantees
//
// Apply refuses an overlay that is not of version 1.0.0 or has no list of actions, an action without a
// description, and an extension of ours that protogen does not read or does not understand. An action
// that changes nothing, by itself or because another one undoes it, is in Result.Idle. Errors name an
// action by its number, from 1, and its target.
//
// # Invariants
//
// The library applies the overlay. This package judges every action by the document as it came, so that
// no action may build upon another. It does not know what the extensions mean, only who reads them.
package overlay
