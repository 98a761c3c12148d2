package trustlist

// DN is the text of a DER Name (x509.Certificate.RawSubject, RawIssuer) as trust lists write it: leaf first, separated by
// semicolons: "CN=ucm1;OU=Voice;O=Lab;C=US".
func DN(raw []byte) (string, error) { panic("soon") }

// EqualDN compares two DN texts: either separator, types and values without letter case, inner white space squeezed.
func EqualDN(a, b string) bool { panic("soon") }

// SubjectHash is the name OpenSSL gives a certificate in a folder of trusted ones: 8 hex digits, of RawSubject.
func SubjectHash(raw []byte) (string, error) { panic("soon") }

// SubjectHashOld is what OpenSSL before 1.0 gave.
func SubjectHashOld(raw []byte) string { panic("soon") }
