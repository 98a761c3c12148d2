package trustlist

// Acceptance is why a reader took a list.
type Acceptance struct {
	Signer *Record // the record that vouched, of the list held, or of the list itself when First or Pinned
	First  bool    // nothing was held: trust on first use
	Pinned bool    // a pinned fingerprint vouched
	Older  bool    // the list is older than one held of the same kind: a replay, or a restored backup. Phones do not mind; log it.
}

// An UntrustedSignerError: the file is not signed by anybody whom the reader trusts. A phone now asks TVS for Signer.
type UntrustedSignerError struct {
	Signer SignerID
	Rule   string // a sentence: whom the reader would have trusted
}

func (e *UntrustedSignerError) Error() string { panic("soon") }

// AcceptPhone is the rule of phones: a list is taken when SAST, CCM+TFTP or TFTP of a list held signed it; with nothing held
// (nil lists are ignored), when it is consistent in itself. On UntrustedSignerError the phone asks TVS.
func AcceptPhone(fresh *List, held ...*List) (Acceptance, error) { panic("soon") }

// AcceptJTAPI is the rule of JTAPI and TSP clients: the signer must be a SAST of the list held; with nothing held (nil), of the
// list itself. The digest code is read by their table.
func AcceptJTAPI(fresh, held *List) (Acceptance, error) { panic("soon") }

// AcceptPinned takes a list whose signer's certificate, a SAST of the list, has one of the SHA-256 fingerprints.
func AcceptPinned(fresh *List, fingerprints [][32]byte) (Acceptance, error) { panic("soon") }
