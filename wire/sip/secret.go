package sip

import "log/slog"

// Secret is a password or a hash as good as one. It prints nothing useful; Reveal is the only way to its octets.
type Secret struct{ text string }

const redacted = "[redacted]"

// NewSecret wraps a secret.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal is the secret itself, for computing with it.
func (s Secret) Reveal() string { return s.text }

// IsZero says whether there is no secret.
func (s Secret) IsZero() bool { return s.text == "" }

// String hides the secret.
func (Secret) String() string { return redacted }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return redacted }

// MarshalText hides the secret from encoders: JSON, YAML, XML.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue hides the secret from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
