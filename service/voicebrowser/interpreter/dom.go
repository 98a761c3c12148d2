package interpreter

import (
	"github.com/dop251/goja"

	"github.com/locktone/locktone/wire/vxml"
)

// dom makes the read-only subset of the Document Object Model that VoiceXML 2.1, appendix D asks for. The tree is handed to a script of ours
// as arrays [name, [attribute, value ...], [child ...]], text as a string; the script builds the nodes, so that whatever a document does with
// them runs in its own time.
const dom = `(function(tree) {
  function DOMException(code, message) { this.code = code; this.message = message }
  function readOnly() { throw new DOMException(7, 'NO_MODIFICATION_ALLOWED_ERR') }
  function list(a) { a.item = function(i) { return i >= 0 && i < a.length ? a[i] : null }; Object.defineProperty(a, 'item', {enumerable: false}); return a }
  function node(type, name, value, owner, parent) {
    var n = {nodeType: type, nodeName: name, nodeValue: value, ownerDocument: owner, parentNode: parent, childNodes: list([]), firstChild: null, lastChild: null,
      previousSibling: null, nextSibling: null, attributes: null};
    n.hasChildNodes = function() { return n.childNodes.length > 0 };
    n.hasAttributes = function() { return !!n.attributes && n.attributes.length > 0 };
    n.appendChild = n.insertBefore = n.removeChild = n.replaceChild = n.cloneNode = n.normalize = readOnly;
    return n }
  function adopt(parent, child) {
    var last = parent.lastChild;
    child.previousSibling = last; if (last) last.nextSibling = child; else parent.firstChild = child;
    parent.lastChild = child; parent.childNodes.push(child) }
  function local(name) { var i = name.indexOf(':'); return i < 0 ? name : name.substring(i + 1) }
  function find(n, name, out) {
    for (var c = n.firstChild; c; c = c.nextSibling) if (c.nodeType === 1) { if (name === '*' || c.tagName === name) out.push(c); find(c, name, out) }
    return out }
  function build(doc, parent, t) {
    if (typeof t === 'string') {
      var text = node(3, '#text', t, doc, parent);
      text.data = t; text.length = t.length;
      text.substringData = function(from, count) { return t.substr(from, count) };
      adopt(parent, text); return }
    var e = node(1, t[0], null, doc, parent);
    e.tagName = t[0]; e.localName = local(t[0]);
    var attributes = list([]), byName = Object.create(null);
    for (var i = 0; i < t[1].length; i += 2) {
      var a = node(2, t[1][i], t[1][i + 1], doc, null);
      a.name = t[1][i]; a.value = t[1][i + 1]; a.specified = true; a.ownerElement = e;
      attributes.push(a); byName[a.name] = a }
    attributes.getNamedItem = function(name) { return byName[name] || null };
    e.attributes = attributes;
    e.getAttribute = function(name) { return byName[name] ? byName[name].value : '' };
    e.getAttributeNode = attributes.getNamedItem;
    e.hasAttribute = function(name) { return name in byName };
    e.getElementsByTagName = function(name) { return list(find(e, name, [])) };
    Object.defineProperty(e, 'textContent', {get: function() { var s = ''; (function walk(n) { for (var c = n.firstChild; c; c = c.nextSibling) c.nodeType === 3 ? s += c.data : walk(c) })(e); return s }});
    e.setAttribute = e.removeAttribute = readOnly;
    adopt(parent, e);
    for (var j = 0; j < t[2].length; j++) build(doc, e, t[2][j]) }
  var doc = node(9, '#document', null, null, null);
  build(doc, doc, tree);
  doc.documentElement = doc.firstChild;
  doc.getElementsByTagName = function(name) { return list(find(doc, name, [])) };
  doc.getElementById = function(id) { var all = find(doc, '*', []); for (var i = 0; i < all.length; i++) if (all[i].getAttribute('id') === id) return all[i]; return null };
  doc.createElement = doc.createTextNode = readOnly;
  return doc })`

// document makes the DOM of a parsed document.
func (e *ecma) document(root *vxml.Element) (out goja.Value, err error) {
	err = e.guard(func() error {
		made, err := e.vm.RunString(dom)
		if err != nil {
			return err
		}
		call, _ := goja.AssertFunction(made)
		out, err = call(goja.Undefined(), e.tree(root))
		return err
	})
	return out, err
}

func (e *ecma) tree(of *vxml.Element) *goja.Object {
	var attributes, children []any
	for _, a := range of.Attributes {
		attributes = append(attributes, a.Name, a.Value)
	}
	for _, n := range of.Children {
		if n.Element != nil {
			children = append(children, e.tree(n.Element))
		} else {
			children = append(children, n.Text)
		}
	}
	return e.vm.NewArray(of.Name, e.vm.NewArray(attributes...), e.vm.NewArray(children...))
}
