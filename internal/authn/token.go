package authn

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"samsara.internal/gateway/internal/reload"
)

const (
	// maxTokensBytes bounds the file of static tokens.
	maxTokensBytes = 1 << 20
	// maxTokenNameBytes bounds the name that a static token stands for.
	maxTokenNameBytes = 64
	// tokenPrefix begins every token that NewToken makes, so that scanners for secrets find one.
	tokenPrefix = "sgw_"
)

// Tokens are the static tokens. They are immutable.
type Tokens struct {
	// names are those that tokens stand for, by their SHA-256.
	names map[[sha256.Size]byte]string
}

// NewTokensFile reads a file of static tokens, see ParseTokens. It follows the file while it is polled.
func NewTokensFile(path string) (*reload.Value[*Tokens], error) {
	return reload.New(reload.File[*Tokens]{
		Name: "caller-tokens", Paths: []string{path}, MaxBytes: maxTokensBytes,
		Parse: func(contents [][]byte) (*Tokens, error) { return ParseTokens(contents[0]) },
	})
}

// ParseTokens reads a line for each static token: the name that it stands for, a colon, and the SHA-256 of the token
// in hexadecimal. A name may have several tokens, so that one can take the place of another. Empty lines, and what
// comes after #, are left out. The errors name the line and show no hash.
func ParseTokens(text []byte) (*Tokens, error) {
	tokens := &Tokens{names: make(map[[sha256.Size]byte]string)}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		entry, _, _ := strings.Cut(string(line), "#")
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		name, hash, found := strings.Cut(entry, ":")
		if !found {
			return nil, fmt.Errorf("line %d: must be a name, a colon and a SHA-256", number)
		}
		name, hash = strings.TrimSpace(name), strings.TrimSpace(hash)
		if fault := checkTokenName(name); fault != "" {
			return nil, fmt.Errorf("line %d: the name %s", number, fault)
		}
		raw, err := hex.DecodeString(hash)
		if err != nil || len(raw) != sha256.Size {
			return nil, fmt.Errorf("line %d: the SHA-256 of %s must have 64 hexadecimal digits", number, name)
		}
		key := [sha256.Size]byte(raw)
		if other, twice := tokens.names[key]; twice {
			return nil, fmt.Errorf("line %d: %s has the token of %s", number, name, other)
		}
		tokens.names[key] = name
	}
	if len(tokens.names) == 0 {
		return nil, errors.New("has no token, must have one")
	}
	return tokens, nil
}

// NewToken returns a random token for a name, and the line that ParseTokens reads for it. The error says what is
// wrong with the name.
func NewToken(name string) (token, line string, err error) {
	if fault := checkTokenName(name); fault != "" {
		return "", "", fmt.Errorf("the name %s", fault)
	}
	token = tokenPrefix + rand.Text()
	hash := sha256.Sum256([]byte(token))
	return token, name + ": " + hex.EncodeToString(hash[:]), nil
}

// checkTokenName returns what is wrong with the name that a token stands for, empty if nothing is. A name of this
// form is never taken for a part of another, nor for a pattern.
func checkTokenName(name string) string {
	if name == "" || len(name) > maxTokenNameBytes {
		return fmt.Sprintf("has %d bytes, must have 1 to %d", len(name), maxTokenNameBytes)
	}
	allowed := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._@", r)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !allowed(r) }) {
		return "must be of letters, digits and -._@"
	}
	return ""
}
