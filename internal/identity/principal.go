package identity

// Means is how a caller has proved who it is.
type Means int

// The means of proof.
const (
	// Anonymous means that the caller has proved nothing.
	Anonymous Means = iota
	// Certificate means a client certificate whose authority is trusted.
	Certificate
	// JWT means a bearer token that an issuer has signed.
	JWT
	// Token means a static token.
	Token
)

// String returns the word for the means in policies, logs and errors.
func (m Means) String() string {
	switch m {
	case Certificate:
		return "certificate"
	case JWT:
		return "jwt"
	case Token:
		return "token"
	default:
		return "anonymous"
	}
}

// Principal is who makes a call, as far as it was proved. It is comparable. The zero value is a caller that has
// proved nothing.
type Principal struct {
	Means Means
	// Name is what was proved: the URI, host or common name in a certificate, the subject of a JWT, or the name
	// that a static token stands for. It is empty if Means is Anonymous, and only then.
	Name string
}
