package live

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"time"
	"unsafe"

	"github.com/locktone/locktone/call"
)

// mostCopied is how many calls an engine may have to be copied: it is held meanwhile, some ten microseconds for a call.
const mostCopied = 5000

// ErrTooMany says that there are more calls than a copy may hold up.
var ErrTooMany = errors.New("live: too many calls for a copy of the engine: all of them would have to wait for it")

// Copy is a copy of the engine as it is now, the caller's own: what is done to it happens to nobody.
func (h *Host) Copy(ctx context.Context) (*call.Engine, error) {
	if h.Stats().Calls > mostCopied {
		return nil, ErrTooMany
	}
	c := make(chan *call.Engine, 1)
	if err := h.post(entry{clone: c}); err != nil {
		return nil, err
	}
	return await(ctx, h, c)
}

// CopyEngine makes a copy that shares nothing with the engine that either of them changes. The state is copied by its shape, not field by
// field, so that a feature that adds to it need not think of this. The engine must not run meanwhile.
func CopyEngine(e *call.Engine) *call.Engine {
	c := &copier{seen: map[block]bool{}, shapes: map[reflect.Type]*shape{}}
	c.survey(unsafe.Pointer(&e), c.shape(reflect.TypeOf(e)))
	c.allocate()
	for i := range c.roots {
		r := &c.roots[i]
		for at := range r.n {
			c.mend(unsafe.Add(r.to, uintptr(at)*r.shape.size), r.shape)
		}
	}
	return (*call.Engine)(c.moved(unsafe.Pointer(e)))
}

// shared are the types that nobody changes once they are made: pictures, configurations, time zones.
var shared = []reflect.Type{reflect.TypeFor[call.Config](), reflect.TypeFor[call.View](), reflect.TypeFor[call.PartyView](), reflect.TypeFor[time.Location]()}

// A shape is what has to be known of a type to copy its values.
type shape struct {
	typ   reflect.Type
	size  uintptr
	plain bool // nothing in it has to be followed: a copy of its bytes is a copy
	elem  *shape
	parts []part // of a struct
}

type part struct {
	offset uintptr
	shape  *shape
}

// shape is the shape of a type; types may lead back to themselves.
func (c *copier) shape(t reflect.Type) *shape {
	if s := c.shapes[t]; s != nil {
		return s
	}
	s := &shape{typ: t, size: t.Size()}
	c.shapes[t] = s
	switch t.Kind() {
	case reflect.Pointer:
		s.plain = t.Elem().Size() == 0 || slices.Contains(shared, t.Elem())
		s.elem = c.shape(t.Elem())
	case reflect.Slice:
		s.plain = t.Elem().Size() == 0
		s.elem = c.shape(t.Elem())
	case reflect.Array:
		s.elem = c.shape(t.Elem())
		s.plain = s.elem.plain || t.Len() == 0
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if of := c.shape(f.Type); !of.plain {
				s.parts = append(s.parts, part{f.Offset, of})
			}
		}
		s.plain = len(s.parts) == 0
	case reflect.Map, reflect.Interface, reflect.Func:
	default:
		s.plain = true
	}
	return s
}

// A block is a piece of memory that a pointer or slice of the original leads to: n values of a shape.
type block struct {
	from  unsafe.Pointer
	shape *shape
	n     int
}

func (b *block) size() uintptr { return uintptr(b.n) * b.shape.size }

// A root is a block that is part of no other one. Pointers into it (a timer in a call, in the heap of timers) lead into its copy.
type root struct {
	block
	to unsafe.Pointer
}

// copier works in two rounds: first it finds all memory there is, then it copies it, so that a pointer into the middle of a struct
// is known for what it is, whichever way it was come by.
type copier struct {
	shapes map[reflect.Type]*shape
	seen   map[block]bool
	found  []block
	roots  []root
}

// slice is how a slice lies in memory.
type slice struct {
	data     unsafe.Pointer
	len, cap int
}

// survey notes all memory that the value at p leads to.
func (c *copier) survey(p unsafe.Pointer, s *shape) {
	if s.plain {
		return
	}
	switch s.typ.Kind() {
	case reflect.Pointer:
		c.note(*(*unsafe.Pointer)(p), s.elem, 1)
	case reflect.Slice:
		at := (*slice)(p)
		c.note(at.data, s.elem, at.cap) // what is behind the end is memory like the rest
	case reflect.Struct:
		for _, f := range s.parts {
			c.survey(unsafe.Add(p, f.offset), f.shape)
		}
	case reflect.Array:
		for i := range s.typ.Len() {
			c.survey(unsafe.Add(p, uintptr(i)*s.elem.size), s.elem)
		}
	case reflect.Map:
		for it := reflect.NewAt(s.typ, p).Elem().MapRange(); it.Next(); {
			c.surveyLoose(it.Key())
			c.surveyLoose(it.Value())
		}
	case reflect.Interface:
		if v := reflect.NewAt(s.typ, p).Elem(); !v.IsNil() {
			c.surveyLoose(v.Elem())
		}
	}
}

// surveyLoose does it for a value that has no address.
func (c *copier) surveyLoose(v reflect.Value) {
	if s := c.shape(v.Type()); !s.plain {
		c.survey(addressed(v).UnsafePointer(), s)
	}
}

// addressed is a pointer to a value like v.
func addressed(v reflect.Value) reflect.Value {
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p
}

func (c *copier) note(at unsafe.Pointer, s *shape, n int) {
	b := block{at, s, n}
	if at == nil || n == 0 || c.seen[b] {
		return
	}
	c.seen[b] = true
	c.found = append(c.found, b)
	if s.plain {
		return
	}
	for i := range n {
		c.survey(unsafe.Add(at, uintptr(i)*s.size), s)
	}
}

// allocate finds the blocks that are part of no other one and copies their bytes.
func (c *copier) allocate() {
	slices.SortFunc(c.found, func(a, b block) int {
		return cmp.Or(cmp.Compare(uintptr(a.from), uintptr(b.from)), cmp.Compare(b.size(), a.size()))
	})
	var end uintptr
	for _, b := range c.found {
		switch last := len(c.roots) - 1; {
		case uintptr(b.from) >= end:
			c.roots = append(c.roots, root{block: b})
		case uintptr(b.from)+b.size() <= end:
			continue
		default: // two slices that overlap: one piece of memory
			c.roots[last].n = int((uintptr(b.from) + b.size() - uintptr(c.roots[last].from)) / b.shape.size)
		}
		end = uintptr(b.from) + b.size()
	}
	for i := range c.roots {
		r := &c.roots[i]
		kind := reflect.SliceOf(r.shape.typ)
		room := reflect.MakeSlice(kind, r.n, r.n)
		reflect.Copy(room, reflect.NewAt(kind, unsafe.Pointer(&slice{r.from, r.n, r.n})).Elem())
		r.to = room.UnsafePointer()
	}
}

// moved is where the copy of what p points to is.
func (c *copier) moved(p unsafe.Pointer) unsafe.Pointer {
	i, found := slices.BinarySearchFunc(c.roots, uintptr(p), func(r root, at uintptr) int { return cmp.Compare(uintptr(r.from), at) })
	if !found {
		i--
	}
	return unsafe.Add(c.roots[i].to, uintptr(p)-uintptr(c.roots[i].from))
}

// mend makes the copied bytes of a value lead to copies.
func (c *copier) mend(p unsafe.Pointer, s *shape) {
	if s.plain {
		return
	}
	switch s.typ.Kind() {
	case reflect.Pointer:
		if at := (*unsafe.Pointer)(p); *at != nil {
			*at = c.moved(*at)
		}
	case reflect.Slice:
		if at := (*slice)(p); at.cap > 0 {
			at.data = c.moved(at.data)
		}
	case reflect.Struct:
		for _, f := range s.parts {
			c.mend(unsafe.Add(p, f.offset), f.shape)
		}
	case reflect.Array:
		for i := range s.typ.Len() {
			c.mend(unsafe.Add(p, uintptr(i)*s.elem.size), s.elem)
		}
	case reflect.Map:
		c.mendMap(reflect.NewAt(s.typ, p).Elem())
	case reflect.Interface:
		if v := reflect.NewAt(s.typ, p).Elem(); !v.IsNil() {
			v.Set(c.mended(v.Elem()))
		}
	case reflect.Func:
		reflect.NewAt(s.typ, p).Elem().SetZero() // it belongs to whoever watches the original
	}
}

func (c *copier) mendMap(v reflect.Value) {
	if v.IsNil() {
		return
	}
	m := reflect.MakeMapWithSize(v.Type(), v.Len())
	for it := v.MapRange(); it.Next(); {
		m.SetMapIndex(c.mended(it.Key()), c.mended(it.Value()))
	}
	v.Set(m)
}

// mended is the copy of a value that has no address.
func (c *copier) mended(v reflect.Value) reflect.Value {
	s := c.shape(v.Type())
	if s.plain {
		return v
	}
	p := addressed(v)
	c.mend(p.UnsafePointer(), s)
	return p.Elem()
}
