package sip

import "github.com/locktone/locktone/wire/secret"

// Secret is a password or a hash as good as one. It prints nothing useful; Reveal is the only way to its octets.
type Secret = secret.Text

// NewSecret wraps a secret.
func NewSecret(text string) Secret { return secret.New(text) }
