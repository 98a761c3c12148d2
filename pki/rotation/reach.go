package rotation

import (
	"fmt"
	"slices"
	"strings"
)

// Fate is what becomes of a device. The zero value is the good one; a greater one is worse.
type Fate uint8

const (
	// Fine: it verifies what it uses, with the list it holds or after fetching today's.
	Fine Fate = iota
	// Deaf: it still verifies what is presented today, and will never accept another list: the next change strands it.
	Deaf
	// Stranded: somebody has to walk up to it.
	Stranded
)

// String returns "fine", "deaf" or "stranded".
func (f Fate) String() string { return [...]string{"fine", "deaf", "stranded"}[min(f, Stranded)] }

// MarshalText renders the fate for JSON.
func (f Fate) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (f *Fate) UnmarshalText(b []byte) error {
	for x := range Stranded + 1 {
		if x.String() == string(b) {
			*f = x
			return nil
		}
	}
	return fmt.Errorf("rotation: there is no fate %q", b)
}

// Fate tells what becomes of a device in this state, and why. A device is stranded when
//
//   - it can neither verify what every service it uses presents, nor obtain and verify a newer list with which it can: none of
//     the signers it knows has a key here any more (or only one whose key is offline), and no TVS whose certificate it holds
//     is there to vouch for the signer of today's list, or it cannot ask one; or
//   - its own LSC no longer verifies here (its issuer was retired, or it is past its end) and it has no way to a new one:
//     neither a credential that CAPF accepts besides, nor, if it has, a CAPF that it can verify.
//
// It is deaf when it is not stranded and yet cannot obtain and verify any newer list. A plan's victims are the devices whose
// fate gets worse by a step, since a deaf one is a stranded one to whom nothing has happened yet.
//
// A device that never held a list takes the first one it is given (trust on first use), so it is always fine. A peer verifies
// by the roots and pins it was told of, and fetches nothing, so it is never deaf. "To obtain" means that the list is served:
// in one variant per signer whose key we have, whichever the device needs.
//
// Of a device that may hold one of several lists, the worst is told.
//
// It says nothing about comfort: a device that has to fetch a list after a failed handshake is fine.
func (s State) Fate(d Device) (f Fate, why string) {
	for _, one := range d.each() {
		if x, because := s.fate(one); x > f {
			f, why = x, because
		}
	}
	return f, why
}

// each is the device once for everything it may hold.
func (d Device) each() []Device {
	all := []Device{d}
	for i, h := range d.Or {
		one := d
		one.Held, one.Or = h, append([]Held{d.Held}, slices.Delete(slices.Clone(d.Or), i, i+1)...)
		all = append(all, one)
	}
	return all
}

// fate judges a device that holds Held, while its list is chosen as for one that may hold any of Or instead.
func (s State) fate(d Device) (f Fate, why string) {
	fresh, can := s.Refresh(d)
	if unknown := s.unverified(d, d.Held); unknown != "" {
		if !can {
			return Stranded, fmt.Sprintf("%s is in use, which it does not know; %s", unknown, s.noWay(d))
		}
		if unknown = s.unverified(d, fresh); unknown != "" {
			return Stranded, fmt.Sprintf("the published list (version %d) does not name %s, which is in use", s.Published.Version, unknown)
		}
	}
	if why := s.lscLost(d, fresh, can); why != "" {
		return Stranded, why
	}
	if !can && !d.Peer {
		return Deaf, "it will never accept another list: " + s.noWay(d)
	}
	return Fine, ""
}

// noWay says why a device cannot accept a newer list.
func (s State) noWay(d Device) string {
	if d.Peer {
		return "its operator was not given it, nor its root"
	}
	tvs := "TVS presents a certificate that it does not know"
	if d.NoTVS {
		tvs = "it cannot ask a TVS"
	}
	if slices.ContainsFunc(s.variants(), d.Held.Has) {
		return fmt.Sprintf("it may hold any of %d lists, no signer that is left is in all of them, and %s", len(d.Or)+1, tvs)
	}
	if known := s.signersOf(d); known != "" {
		return fmt.Sprintf("of the signers it knows (%s) no key is left, and %s", known, tvs)
	}
	return "it knows no signer, and " + tvs
}

// signersOf lists the signers a device knows, present or gone, by the names of our signers.
func (s State) signersOf(d Device) string {
	var known []string
	for _, id := range d.Held.Knows {
		if s.isSigner(id) {
			known = append(known, string(id))
		}
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

// Refresh returns what the device knows after it has fetched the published list; ok is false when it would not accept the
// one it is served. That is the variant of a signer in everything it may hold (lists.Reader.For), if there is one: an active
// one before a staged one before a retiring one.
func (s State) Refresh(d Device) (h Held, ok bool) {
	if d.Peer {
		return d.Held, false
	}
	if signer, ok := s.served(d); ok {
		return s.Published.variant(signer, d.SignerLimit), true
	}
	if len(d.Held.Knows) == 0 || s.vouched(d) {
		if files := s.variants(); files != nil {
			return s.Published.variant(files[0], d.SignerLimit), true
		}
	}
	return d.Held, false
}

// served is the signer whose variant a device is served that knows one.
func (s State) served(d Device) (ID, bool) {
	for _, id := range s.variants() {
		others := !slices.ContainsFunc(d.Or, func(h Held) bool { return len(h.Knows) > 0 && !h.Has(id) })
		if d.Held.Has(id) && others {
			return id, true
		}
	}
	return "", false
}

// variants are the signers that signed the published list and have not been retired since.
func (s State) variants() (ids []ID) {
	for _, g := range s.signers() {
		if s.Published.Variants == nil || slices.Contains(s.Published.Variants, g.ID) {
			ids = append(ids, g.ID)
		}
	}
	return ids
}

// signers are the generations of signers whose keys are here: active, staged, retiring ones, each in the order of the
// members.
func (s State) signers() (gs []Generation) {
	for _, p := range []Phase{Active, Staged, Retiring} {
		for _, m := range s.Members {
			for _, g := range m.Generations {
				if m.Kind == Signer && g.Phase == p && !g.Offline {
					gs = append(gs, g)
				}
			}
		}
	}
	return gs
}

// vouched reports whether there is a TVS that the device can verify, which would tell it that today's signer is good.
func (s State) vouched(d Device) bool {
	return !d.NoTVS && slices.ContainsFunc(s.Members, func(m Member) bool {
		g, ok := m.Active()
		return ok && m.Kind == Service && m.service() == "tvs" && d.Held.Has(g.ID)
	})
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

// lscLost says why the device's certificate is worth nothing here and cannot be had anew; "" when that is not so.
func (s State) lscLost(d Device, fresh Held, can bool) string {
	reason := s.lscRefused(d.LSC)
	switch {
	case reason == "":
		return ""
	case !d.Reenrol:
		return "its LSC " + reason + ", and it has nothing else by which CAPF would give it a new one"
	case s.unknown(d, d.Held, "capf") == "" || can && s.unknown(d, fresh, "capf") == "":
		return ""
	}
	return "its LSC " + reason + ", and it cannot verify CAPF, which would give it a new one"
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
