package sip

// NeedsSecureContact says whether the Contact a client puts into req must be a sips URI.
// RFC 3261, 8.1.1.8: when the Request-URI or the topmost Route is sips.
func NeedsSecureContact(req *Message) bool {
	if req.uri.IsSecure() {
		return true
	}
	top, ok := req.Address("Route")
	return ok && top.URI.IsSecure()
}

// NeedsSecureAnswer says whether the Contact of a response that forms a dialog must be a sips URI. RFC 3261, 12.1.1: when the
// Request-URI is sips, or the topmost Record-Route, or without Record-Route the Contact of the request.
func NeedsSecureAnswer(req *Message) bool {
	if req.uri.IsSecure() {
		return true
	}
	if top, ok := req.Address("Record-Route"); ok {
		return top.URI.IsSecure()
	}
	contact, ok := req.Contact()
	return ok && contact.URI.IsSecure()
}

// SecurityPolicy is what a server asks of the scheme in requests for one target.
type SecurityPolicy uint8

// The policies for sips; the zero value lets the peer choose, as long as sips is not a lie.
const (
	SecureWhenAsked SecurityPolicy = iota // sip and sips; sips only over TLS
	SecureAlways                          // sips only: a request for sip is 480 with warning 381
	SecureNever                           // the target cannot be reached by sips: 480 with warning 380
)

// ScreenSecure applies the sips rules to a request that came over TLS or not. agent names this server in Warning.
// RFC 5630: the warn-codes 380 (SIPS Not Allowed) and 381 (SIPS Required) go with a 480. A sips Request-URI that
// did not come over TLS, or whose dialog would leave sips by its Contact, is refused: someone on the way broke the rule.
func ScreenSecure(req *Message, overTLS bool, policy SecurityPolicy, agent string) *Reject {
	if req.method == ACK || req.method == CANCEL {
		return nil
	}
	warn := func(status, code int, text string) *Reject {
		return (&Reject{Status: status}).With("Warning", Warning{code, agent, text}.String())
	}
	if !req.uri.IsSecure() {
		if policy == SecureAlways {
			return warn(480, 381, "SIPS Required")
		}
		return nil
	}
	if policy == SecureNever {
		return warn(480, 380, "SIPS Not Allowed")
	}
	if !overTLS {
		return warn(403, 399, "a sips request must arrive over TLS")
	}
	if contact, ok := req.Contact(); ok && formsDialog(req.method) && contact.URI.IsSIP() && !contact.URI.IsSecure() {
		return warn(400, 399, "the Contact of a sips request must be a sips URI")
	}
	return nil
}
