package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// AlternateDigits are the alternate numbers of the line with the masks filled in, as patterns: with an escaped plus.
func (l Line) AlternateDigits() []string {
	var out []string
	for _, mask := range l.AlternateNumbers {
		out = append(out, strings.Replace(fillMask(mask, strings.TrimPrefix(l.Number, `\`)), "+", `\+`, 1))
	}
	return out
}

// AlternatesIn is the partition of the alternate numbers.
func (l Line) AlternatesIn() string { return cmp.Or(l.AlternatePartition, l.Partition) }

// fillMask puts a number's digits into a mask, from the right. Where the number has run out, nothing comes.
func fillMask(mask, number string) string {
	var out []byte
	for gap, i := len(mask)-len(number), 0; i < len(mask); i++ {
		switch {
		case mask[i] != 'X':
			out = append(out, mask[i])
		case i >= gap:
			out = append(out, number[i-gap])
		}
	}
	return string(out)
}

func (c *checker) numberChange(path string, n NumberChange) {
	c.within(path+".calledStrip", n.CalledStrip, 1, 32)
	c.within(path+".callingStrip", n.CallingStrip, 1, 32)
	c.mask(path+".calledMask", n.CalledMask)
	c.mask(path+".callingMask", n.CallingMask)
	c.digits(path+".calledPrefix", n.CalledPrefix)
	c.digits(path+".callingPrefix", n.CallingPrefix)
}

func (c *checker) trunkNumbers(path string, n TrunkNumbers) {
	c.numberChange(path, n.NumberChange)
	c.ref(path+".calledTransformationSearchSpace", KindCallingSearchSpace, n.CalledTransformationSearchSpace, false)
	c.ref(path+".callingTransformationSearchSpace", KindCallingSearchSpace, n.CallingTransformationSearchSpace, false)
}

func (c *checker) routeDetails(path string, l RouteList) {
	var seen []string
	for i, d := range l.Details {
		sub := fmt.Sprintf("%s.details[%d]", path, i)
		switch {
		case !slices.Contains(l.Groups, d.Group):
			c.at(sub+".group", fmt.Sprintf("%q is none of the list's groups", d.Group), "expected one of "+listOf(l.Groups))
		case slices.Contains(seen, d.Group):
			c.at(sub+".group", fmt.Sprintf("%q has details already", d.Group), "expected each group once")
		}
		seen = append(seen, d.Group)
		c.numberChange(sub, d.NumberChange)
	}
}

// transformations checks both lists of transformations; each competes only with its own kind.
func (c *checker) transformations() {
	calling, called := map[string]string{}, map[string]string{}
	for i, t := range c.site.CallingTransformations {
		c.transformation(calling, fmt.Sprintf("callingTransformations[%d]", i), t.NumberTransformation, "a calling transformation")
	}
	for i, t := range c.site.CalledTransformations {
		c.transformation(called, fmt.Sprintf("calledTransformations[%d]", i), t.NumberTransformation, "a called transformation")
	}
}

func (c *checker) transformation(claimed map[string]string, path string, t NumberTransformation, what string) {
	c.pattern(path+".pattern", t.Pattern)
	c.ref(path+".partition", KindPartition, t.Partition, false)
	if (t.Discard == DiscardPreDot || t.Discard == DiscardPreDotTrailingPound) && !strings.Contains(t.Pattern, ".") {
		c.at(path+".discard", fmt.Sprintf("%s needs a dot in the pattern", t.Discard), `put a dot where digits are cut, for instance \+4930.!`)
	}
	c.mask(path+".mask", t.Mask)
	c.digits(path+".prefix", t.Prefix)
	c.claim(claimed, path+".pattern", t.Pattern, t.Partition, what)
}

// forwardsToEmergency refuses forwards that would send callers to the emergency service: they would not be followed. What only a wildcard of
// a pattern matches is left to the call manager.
func (c *checker) forwardsToEmergency() {
	emergency := map[string]bool{}
	for _, p := range c.site.RoutePatterns {
		if p.Emergency {
			emergency[strings.NewReplacer(".", "", `\`, "").Replace(p.Pattern)] = true
		}
	}
	look := func(path string, f Forward) {
		if emergency[strings.TrimPrefix(f.To, `\`)] {
			c.at(path+".to", fmt.Sprintf("%s is an emergency number", f.To), "expected another number: nobody's calls are sent to the emergency service")
		}
	}
	for i, l := range c.site.Lines {
		path := fmt.Sprintf("lines[%d].forwards", i)
		look(path+".all", l.Forwards.All)
		look(path+".busy", l.Forwards.Busy)
		look(path+".noAnswer", l.Forwards.NoAnswer)
		look(path+".unregistered", l.Forwards.Unregistered)
	}
	for i, h := range c.site.HuntPilots {
		look(fmt.Sprintf("huntPilots[%d].forward", i), h.Forward)
	}
}
