package rotation

import (
	"fmt"
	"slices"
	"strings"
)

// Stranded reports whether a device is lost in this state, and why. A device is stranded when
//
//   - it can neither verify what every service it uses presents, nor obtain and verify a newer list with which it can: none of
//     the signers it knows has a key here any more (or it knows none whose key is not offline), and no TVS whose certificate
//     it holds is there to vouch for the signer of today's list, or it cannot ask one; or
//   - its own LSC no longer verifies here (its issuer was retired, or it is past its end) and it has no way to a new one:
//     neither a credential that CAPF accepts besides, nor, if it has, a CAPF that it can verify.
//
// A device that never held a list takes the first one it is given (trust on first use), so it is stranded by nothing. A peer
// verifies by the roots and pins it was told of, and fetches nothing. "To obtain" means that the list is served: in one
// variant per signer whose key we have, whichever the device asks for.
//
// It says nothing about comfort: a device that has to fetch a list after a failed handshake is not stranded.
func (s State) Stranded(d Device) (why string, stranded bool) {
	fresh, can := s.Refresh(d)
	if unknown := s.unverified(d, d.Held); unknown != "" {
		if !can {
			return s.noWay(d, unknown), true
		}
		if unknown = s.unverified(d, fresh); unknown != "" {
			return fmt.Sprintf("the published list (version %d) does not name %s, which is in use", s.Published.Version, unknown), true
		}
	}
	return s.lscLost(d, fresh, can)
}

// noWay says why a device that cannot verify a service cannot help itself either.
func (s State) noWay(d Device, unknown ID) string {
	if d.Peer {
		return fmt.Sprintf("%s is in use, and neither it nor its root was given to the peer", unknown)
	}
	tvs := "TVS presents a certificate that it does not know"
	if d.NoTVS {
		tvs = "it cannot ask a TVS"
	}
	return fmt.Sprintf("%s is in use, which its list does not name; no signer that it knows (%s) has a key left, and %s", unknown, s.signersOf(d), tvs)
}

// signersOf lists the signers a device knows, present or gone, by the names of our signers.
func (s State) signersOf(d Device) string {
	var known []string
	for _, id := range d.Held.Knows {
		if s.isSigner(id) {
			known = append(known, string(id))
		}
	}
	if known == nil {
		return "none"
	}
	return strings.Join(known, ", ")
}

func (s State) isSigner(id ID) bool {
	for _, m := range s.Members {
		if m.Kind == Signer && strings.HasPrefix(string(id), m.Name+"-g") {
			return true
		}
	}
	return false
}

// Refresh returns what the device knows after it has fetched the published list; ok is false when it would not accept one.
// Of the variants it could accept it is served the one whose signer stays longest: active before staged before retiring.
func (s State) Refresh(d Device) (h Held, ok bool) {
	if d.Peer {
		return d.Held, false
	}
	if len(d.Held.Knows) == 0 || s.vouched(d) {
		primary, ok := s.primary()
		return s.Published.variant(primary, d.SignerLimit), ok
	}
	for _, phase := range []Phase{Active, Staged, Retiring} {
		for _, g := range s.signers(phase) {
			if d.Held.Has(g.ID) {
				return s.Published.variant(g.ID, d.SignerLimit), true
			}
		}
	}
	return d.Held, false
}

// signers are the generations of signers in a phase whose keys are here, in the order of the members.
func (s State) signers(p Phase) (gs []Generation) {
	for _, m := range s.Members {
		if m.Kind != Signer {
			continue
		}
		for _, g := range m.Generations {
			if g.Phase == p && !g.Offline {
				gs = append(gs, g)
			}
		}
	}
	return gs
}

// primary is who signs what everybody is served who does not need something else.
func (s State) primary() (ID, bool) {
	active := s.signers(Active)
	if active == nil {
		return "", false
	}
	return active[0].ID, true
}

// vouched reports whether a TVS the device can verify would tell it that today's signer is good, and the device knows no
// signer itself: it asks only then.
func (s State) vouched(d Device) bool {
	if d.NoTVS || s.knowsSigner(d) {
		return false
	}
	return slices.ContainsFunc(s.Members, func(m Member) bool {
		g, ok := m.Active()
		return ok && m.Kind == Service && m.service() == "tvs" && d.Held.Has(g.ID)
	})
}

func (s State) knowsSigner(d Device) bool {
	for _, p := range []Phase{Active, Staged, Retiring} {
		if slices.ContainsFunc(s.signers(p), func(g Generation) bool { return d.Held.Has(g.ID) }) {
			return true
		}
	}
	return false
}

// unverified returns what a service the device uses presents and the device would not accept, holding h; empty when it
// accepts all.
func (s State) unverified(d Device, h Held) ID {
	for _, service := range d.uses() {
		if id := s.unknown(d, h, service); id != "" {
			return id
		}
	}
	return ""
}

func (s State) unknown(d Device, h Held, service string) ID {
	for _, m := range s.Members {
		if m.Kind != Service || m.service() != service {
			continue
		}
		g, ok := m.Active()
		if ok && !h.Has(g.ID) && !(d.Peer && g.Issuer != "" && h.Has(g.Issuer)) {
			return g.ID
		}
	}
	return ""
}

// lscLost reports whether the device's certificate is worth nothing here and cannot be had anew.
func (s State) lscLost(d Device, fresh Held, can bool) (why string, lost bool) {
	reason := s.lscRefused(d.LSC)
	switch {
	case reason == "":
		return "", false
	case !d.Reenrol:
		return "its LSC " + reason + ", and it has nothing else by which CAPF would give it a new one", true
	case s.unknown(d, d.Held, "capf") == "" || can && s.unknown(d, fresh, "capf") == "":
		return "", false
	}
	return "its LSC " + reason + ", and it cannot verify CAPF, which would give it a new one", true
}

// lscRefused says why an LSC does not verify here, "" when it does, or is not ours to judge.
func (s State) lscRefused(l LSC) string {
	if l.Issuer == "" {
		return ""
	}
	for _, m := range s.Members {
		if m.Kind == Root && slices.ContainsFunc(m.Generations, func(g Generation) bool { return g.ID == l.Issuer }) {
			if !l.NotAfter.IsZero() && s.Time.After(l.NotAfter) {
				return "expired on " + l.NotAfter.UTC().Format("2006-01-02")
			}
			return ""
		}
	}
	return "was issued by " + string(l.Issuer) + ", which is retired"
}
