package authn

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"samsara.internal/gateway/internal/reload"
)

const (
	// maxKeySetBytes bounds a set of keys as JSON.
	maxKeySetBytes = 1 << 20
	// maxKeys bounds the keys of a set.
	maxKeys = 1000
	// maxKeysOfOne bounds the keys that have one id, of which each may be tried for a token.
	maxKeysOfOne = 4
)

// KeySet is a set of public keys by their ids, by RFC 7517. It is immutable.
type KeySet struct{ keys map[string][]setKey }

type setKey struct {
	public any
	// alg is what the key is for; empty: for whatever its type allows.
	alg string
}

// ParseKeySet reads a set of keys. Keys that are not for signatures, or not of a type that is accepted, are left out, and
// so are those after the fourth with one id; there must be one at least. Errors show no key.
func ParseKeySet(text []byte) (*KeySet, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(text, &set) != nil {
		return nil, errors.New("must be a JSON Web Key Set")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("has %d keys, must have at most %d", len(set.Keys), maxKeys)
	}
	parsed := &KeySet{keys: make(map[string][]setKey, len(set.Keys))}
	for _, raw := range set.Keys {
		key, err := jwkset.NewJWKFromRawJSON(raw, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipX5UScheme: true})
		if err != nil {
			continue // A set may have keys for others, of kinds that are not known here.
		}
		described := key.Marshal()
		if described.USE != "" && described.USE != jwkset.UseSig {
			continue
		}
		switch public := key.Key().(type) {
		case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
			if of := parsed.keys[described.KID]; len(of) < maxKeysOfOne {
				parsed.keys[described.KID] = append(of, setKey{public, string(described.ALG)})
			}
		}
	}
	if len(parsed.keys) == 0 {
		return nil, errors.New("must have a public key for signatures, of type RSA, EC or OKP with Ed25519")
	}
	return parsed, nil
}

// equal reports whether two sets have the same keys.
func (s *KeySet) equal(other *KeySet) bool {
	return s != nil && other != nil && maps.EqualFunc(s.keys, other.keys, func(a, b []setKey) bool { return slices.EqualFunc(a, b, setKey.equal) })
}

func (k setKey) equal(other setKey) bool {
	public, ok := k.public.(interface {
		Equal(other crypto.PublicKey) bool
	})
	return k.alg == other.alg && ok && public.Equal(other.public)
}

// find returns the keys with an id, for an algorithm. A token without an id is of the one id, if there is one.
func (s *KeySet) find(id, alg string) (found []jwt.VerificationKey) {
	if s == nil {
		return nil
	}
	keys, ok := s.keys[id]
	if !ok && id == "" && len(s.keys) == 1 {
		for _, keys = range s.keys {
			break
		}
	}
	for _, key := range keys {
		if key.alg == "" || key.alg == alg {
			found = append(found, key.public)
		}
	}
	return found
}

// KeyFile is the keys in a file, which follow it while File is polled.
type KeyFile struct{ *reload.Value[*KeySet] }

// NewKeyFile reads a file with a set of keys.
func NewKeyFile(path string) (*KeyFile, error) {
	file, err := reload.New(reload.File[*KeySet]{
		Name: "jwt-keys", Paths: []string{path}, MaxBytes: maxKeySetBytes,
		Parse: func(contents [][]byte) (*KeySet, error) { return ParseKeySet(contents[0]) },
	})
	if err != nil {
		return nil, err
	}
	return &KeyFile{file}, nil
}

// Again implements Keys. A file is looked at once a second anyway.
func (f *KeyFile) Again(context.Context) *KeySet { return f.Get() }
