// Package authn checks what callers prove themselves by: client certificates, signed bearer tokens (JWT) and
// static bearer tokens.
//
// # Guarantees
//
//   - An identity is returned only for a proof that is good now: by the authorities, keys and tokens that are in
//     use now, and within its time. Whatever else was sent is an *Error, whose text names the rule and never shows
//     a token.
//   - A bearer token that was sent must be good, and so must a certificate that was shown, whichever of them makes
//     the identity: the token does if there is one, because it speaks for the call and the certificate for the
//     connection.
//   - Nothing waits for an issuer, except that a token with an unknown key waits for one fetch, 50 ms at most. A
//     stranger's tokens cause one fetch in 5 seconds at most.
//   - Revision grows whenever something that was accepted may no longer be.
//
// An Authenticator, and all that it uses, is safe for concurrent use.
//
// # Rules
//
// A certificate names its caller by its first URI, which SPIFFE has its ids in, else its first DNS name, else its
// common name. It must be for client authentication, as crypto/tls has it.
//
// A JWT must be signed by RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA with a key of the
// issuer's set, and have the issuer, one of the audiences, exp, and sub, which names the caller. exp and nbf are
// compared with some tolerance for clocks. One that was verified is kept for 30 seconds, as long as its set of keys
// is in use: to verify one costs as much as a call.
//
// A static token is found by its SHA-256. It must have at least 128 random bits, and then needs no slow hash.
//
// Names have 1 to 256 bytes of printable ASCII without spaces.
//
// # Files
//
// In the order in which they are to be read: authn, certificate, jwt, keys, keyurl, token.
package authn
