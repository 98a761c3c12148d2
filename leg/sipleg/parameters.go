package sipleg

import (
	"slices"
	"strings"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/sip"
)

// Parameters of a Request-URI that mean nothing to SIP are for who is called: a voice browser is told by them which document to run (RFC 5552,
// 2.1). They go to the engine and come from it as they are written in the URI, escaped.

// ownParams are the parameters that have a meaning in SIP itself, and are neither passed on nor set by anybody else. RFC 3261, 19.1.1; RFC 5627,
// 3.2 (gr); RFC 5626, 5.1 (ob); RFC 3486, 4 (comp). "method" is none of them: in a Request-URI it has no place but as that of RFC 5552.
var ownParams = [...]string{"transport", "user", "ttl", "maddr", "lr", "gr", "ob", "comp"}

func ownParam(p sip.Param) bool {
	return slices.ContainsFunc(ownParams[:], func(own string) bool { return strings.EqualFold(own, p.Name) })
}

// parameters are those of a Request-URI; ok is false where they are more than the engine takes.
func parameters(u sip.URI) (text string, ok bool) {
	text = slices.DeleteFunc(slices.Clone(u.Params), ownParam).String()
	return text, len(text) <= call.MaxParameters
}

// addressed is the Request-URI of a way with the parameters of a Ring. What the way says itself stays.
func addressed(u sip.URI, params string) (sip.URI, error) {
	list, err := sip.ParseURIParams(params)
	if err != nil || len(list) == 0 {
		return u, err
	}
	out := slices.Clone(u.Params)
	for _, p := range list {
		if !ownParam(p) && !out.Has(p.Name) {
			out = append(out, p)
		}
	}
	u.Params = out
	return u, nil
}
