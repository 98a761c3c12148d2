package vxml

import (
	"slices"
	"strings"
)

// A Definition says of one element where it may stand, with which attributes.
type Definition struct {
	Name       string
	Attributes []string // allowed
	Required   []string // of these, at least one (VoiceXML 2.0, appendix B, as far as the schema says it)
	Children   []string // allowed elements
	Text       bool     // text may stand in it (white space always may)
	Any        bool     // anything may stand in it, unjudged
}

// Groups of elements, as the schema of VoiceXML 2.1 has them.
var (
	handlers   = []string{"catch", "error", "help", "noinput", "nomatch"}
	spoken     = []string{"audio", "enumerate", "value", "break", "emphasis", "mark", "p", "paragraph", "phoneme", "prosody", "s", "say-as", "sentence", "sub", "voice", "foreach"}
	asked      = join([]string{"prompt"}, spoken)
	executable = join(asked, []string{"assign", "clear", "data", "disconnect", "exit", "goto", "if", "log", "reprompt", "return", "script", "submit", "throw", "var"})
	fetching   = []string{"fetchhint", "fetchtimeout", "maxage", "maxstale"}
	fetchingX  = join(fetching, []string{"fetchaudio"})
	asEvent    = []string{"event", "eventexpr", "message", "messageexpr"}
	item       = []string{"name", "expr", "cond"}
	inItem     = join(handlers, asked, []string{"filled", "grammar", "link", "property", "param", "script"})
)

func join(lists ...[]string) []string { return slices.Concat(lists...) }

// vocabulary is the table of VoiceXML 2.1, with the elements of SSML 1.0 that may stand in a prompt. Grammars judge their own content.
//
//house:flat
func vocabulary() []Definition {
	return []Definition{
		{Name: "vxml", Attributes: []string{"version", "application", "xml:base", "xml:lang"}, Required: []string{"version"},
			Children: join(handlers, []string{"data", "form", "link", "menu", "meta", "metadata", "property", "script", "var"})},
		{Name: "meta", Attributes: []string{"name", "content", "http-equiv"}, Required: []string{"content"}},
		{Name: "metadata", Any: true},
		{Name: "form", Attributes: []string{"id", "scope"},
			Children: join(handlers, []string{"block", "data", "field", "filled", "grammar", "initial", "link", "object", "property", "record", "script", "subdialog", "transfer", "var"})},
		{Name: "menu", Attributes: []string{"id", "scope", "accept", "dtmf"}, Text: true,
			Children: join(handlers, asked, []string{"choice", "link", "property", "script"})},
		{Name: "choice", Attributes: join(fetchingX, asEvent, []string{"accept", "dtmf", "expr", "next"}), Children: []string{"grammar"}, Text: true},
		{Name: "block", Attributes: item, Children: executable, Text: true},
		{Name: "field", Attributes: join(item, []string{"type", "slot", "modal"}), Children: join(inItem, []string{"option"}), Text: true},
		{Name: "option", Attributes: []string{"accept", "dtmf", "value"}, Text: true},
		{Name: "initial", Attributes: item, Children: inItem, Text: true},
		{Name: "record", Attributes: join(item, []string{"beep", "dest", "dtmfterm", "finalsilence", "maxtime", "modal", "type"}), Children: inItem, Text: true},
		{Name: "transfer", Attributes: join(item, []string{"aai", "aaiexpr", "bridge", "connecttimeout", "dest", "destexpr", "maxtime", "transferaudio", "type"}),
			Children: inItem, Text: true},
		{Name: "subdialog", Attributes: join(item, fetchingX, []string{"enctype", "method", "modal", "namelist", "src", "srcexpr"}), Children: inItem, Text: true},
		{Name: "object", Attributes: join(item, fetchingX, []string{"archive", "classid", "codebase", "codetype", "data", "type"}), Children: inItem, Text: true},
		{Name: "param", Attributes: []string{"name", "expr", "value", "valuetype", "type"}, Required: []string{"name"}},
		{Name: "filled", Attributes: []string{"mode", "namelist"}, Children: executable, Text: true},
		{Name: "link", Attributes: join(fetchingX, asEvent, []string{"dtmf", "expr", "next"}), Children: []string{"grammar"}},
		{Name: "grammar", Attributes: join(fetching, []string{"mode", "root", "scope", "src", "srcexpr", "tag-format", "type", "version", "weight", "xml:base", "xml:lang"}), Any: true},
		{Name: "property", Attributes: []string{"name", "value"}, Required: []string{"name", "value"}},
		{Name: "catch", Attributes: []string{"event", "count", "cond"}, Children: executable, Text: true},
		{Name: "error", Attributes: []string{"count", "cond"}, Children: executable, Text: true},
		{Name: "help", Attributes: []string{"count", "cond"}, Children: executable, Text: true},
		{Name: "noinput", Attributes: []string{"count", "cond"}, Children: executable, Text: true},
		{Name: "nomatch", Attributes: []string{"count", "cond"}, Children: executable, Text: true},

		{Name: "var", Attributes: []string{"name", "expr"}, Required: []string{"name"}},
		{Name: "assign", Attributes: []string{"name", "expr"}, Required: []string{"name", "expr"}},
		{Name: "clear", Attributes: []string{"namelist"}},
		{Name: "if", Attributes: []string{"cond"}, Required: []string{"cond"}, Children: join(executable, []string{"else", "elseif"}), Text: true},
		{Name: "elseif", Attributes: []string{"cond"}, Required: []string{"cond"}},
		{Name: "else"},
		{Name: "goto", Attributes: join(fetchingX, []string{"expr", "expritem", "next", "nextitem"})},
		{Name: "submit", Attributes: join(fetchingX, []string{"enctype", "expr", "method", "namelist", "next"})},
		{Name: "exit", Attributes: []string{"expr", "namelist"}},
		{Name: "return", Attributes: join(asEvent, []string{"namelist"})},
		{Name: "disconnect", Attributes: []string{"namelist"}},
		{Name: "throw", Attributes: asEvent},
		{Name: "reprompt"},
		{Name: "script", Attributes: join(fetching, []string{"charset", "src", "srcexpr"}), Text: true},
		{Name: "data", Attributes: join(fetchingX, []string{"enctype", "method", "name", "namelist", "src", "srcexpr"})},
		{Name: "foreach", Attributes: []string{"array", "item"}, Required: []string{"array"}, Children: executable, Text: true},
		{Name: "log", Attributes: []string{"expr", "label"}, Children: []string{"value", "enumerate", "foreach"}, Text: true},

		{Name: "prompt", Attributes: []string{"bargein", "bargeintype", "cond", "count", "timeout", "version", "xml:base", "xml:lang"}, Children: join(spoken, []string{"lexicon", "meta", "metadata"}),
			Text: true},
		{Name: "enumerate", Children: spoken, Text: true},
		{Name: "value", Attributes: []string{"expr", "mode", "recsrc"}, Required: []string{"expr"}},
		{Name: "audio", Attributes: join(fetching, []string{"expr", "src"}), Children: join(spoken, []string{"desc"}), Text: true},
		{Name: "desc", Attributes: []string{"xml:lang"}, Text: true},
		{Name: "break", Attributes: []string{"size", "strength", "time"}},
		{Name: "emphasis", Attributes: []string{"level"}, Children: spoken, Text: true},
		{Name: "mark", Attributes: []string{"name", "nameexpr"}},
		{Name: "p", Attributes: []string{"xml:lang"}, Children: spoken, Text: true},
		{Name: "paragraph", Attributes: []string{"xml:lang"}, Children: spoken, Text: true},
		{Name: "s", Attributes: []string{"xml:lang"}, Children: spoken, Text: true},
		{Name: "sentence", Attributes: []string{"xml:lang"}, Children: spoken, Text: true},
		{Name: "phoneme", Attributes: []string{"alphabet", "ph"}, Required: []string{"ph"}, Text: true},
		{Name: "prosody", Attributes: []string{"contour", "duration", "pitch", "range", "rate", "volume"}, Children: spoken, Text: true},
		{Name: "say-as", Attributes: []string{"detail", "format", "interpret-as", "type"}, Children: []string{"value"}, Text: true},
		{Name: "sub", Attributes: []string{"alias"}, Required: []string{"alias"}, Text: true},
		{Name: "voice", Attributes: []string{"age", "gender", "name", "variant", "xml:lang"}, Children: spoken, Text: true},
		{Name: "lexicon", Attributes: []string{"type", "uri"}, Required: []string{"uri"}},
	}
}

// Vocabulary gives the table: what ParseDocument allows, in the order of the specification's chapters.
func Vocabulary() []Definition { return vocabulary() }

var definitions = func() map[string]*Definition {
	out := map[string]*Definition{}
	all := vocabulary()
	for i := range all {
		out[all[i].Name] = &all[i]
	}
	return out
}()

// ParseDocument reads a VoiceXML document and judges it by Vocabulary: the first thing that is wrong is the error. Both versions are read by
// the table of 2.1, which only adds to 2.0. Elements without a namespace pass as VoiceXML: much that is in the field has none.
func ParseDocument(src []byte) (*Element, error) {
	root, err := Parse(src)
	if err != nil {
		return nil, err
	}
	if root.Name != "vxml" {
		return nil, errorAt(root.At, "the document element is <%s>; a VoiceXML document begins with <vxml>", root.Name)
	}
	if v := root.Attr("version"); v != "2.0" && v != "2.1" {
		return nil, errorAt(root.At, "version %q of VoiceXML: 2.0 and 2.1 are understood", v)
	}
	if err := judge(root); err != nil {
		return nil, err
	}
	return root, nil
}

// judge checks an element and all below it.
func judge(e *Element) error {
	d := definitions[e.Name]
	if d == nil || !known(e.Space) {
		return errorAt(e.At, "<%s> is no element of VoiceXML 2.1", e.Name)
	}
	if err := judgeAttributes(e, d); err != nil {
		return err
	}
	if e.Name == "grammar" || e.Name == "script" {
		if err := judgeSources(e); err != nil {
			return err
		}
	}
	if d.Any {
		return nil
	}
	for _, n := range e.Children {
		if n.Element == nil {
			if !d.Text && strings.TrimSpace(n.Text) != "" {
				return errorAt(n.At, "text in <%s>, where only elements may stand", e.Name)
			}
			continue
		}
		if known(n.Element.Space) && definitions[n.Element.Name] != nil && !slices.Contains(d.Children, n.Element.Name) {
			return errorAt(n.At, "<%s> must not stand in <%s>", n.Element.Name, e.Name)
		}
		if err := judge(n.Element); err != nil {
			return err
		}
	}
	return nil
}

// judgeSources: a grammar and a script come from one place: src, srcexpr or their content. A script may be empty.
func judgeSources(e *Element) error {
	var have []string
	for _, name := range []string{"src", "srcexpr"} {
		if _, ok := e.Lookup(name); ok {
			have = append(have, name)
		}
	}
	if len(e.Elements()) > 0 || strings.TrimSpace(e.Content()) != "" {
		have = append(have, "content")
	}
	switch {
	case len(have) > 1:
		return errorAt(e.At, "<%s> has %s: only one of them may be", e.Name, strings.Join(have, " and "))
	case len(have) == 0 && e.Name == "grammar":
		return errorAt(e.At, "<grammar> is empty: it needs src, srcexpr or content")
	}
	return nil
}

func judgeAttributes(e *Element, d *Definition) error {
	for i, a := range e.Attributes {
		if a.Name == "xml:space" || a.Name == "xml:id" {
			continue
		}
		if !slices.Contains(d.Attributes, a.Name) {
			return errorAt(e.At, "<%s> has no attribute %q; it has %s", e.Name, a.Name, strings.Join(d.Attributes, ", "))
		}
		for _, b := range e.Attributes[:i] {
			if a.Name == b.Name {
				return errorAt(e.At, "<%s> has the attribute %q twice", e.Name, a.Name)
			}
		}
	}
	for _, name := range d.Required {
		if _, ok := e.Lookup(name); !ok {
			return errorAt(e.At, "<%s> needs the attribute %q", e.Name, name)
		}
	}
	return nil
}

func known(space string) bool {
	return space == "" || space == Namespace || space == NamespaceGrammar || space == NamespaceSSML
}
