package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sort"
)

// siteLists calls f for every list of the site, in the order of Site.
func siteLists(s *Site, f func(k Kind, list reflect.Value)) {
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.Slice {
			f(Kind(v.Type().Field(i).Tag.Get("kind")), v.Field(i))
		}
	}
}

func kinds() []Kind {
	t := reflect.TypeFor[Site]()
	out := make([]Kind, t.NumField())
	for i := range out {
		out[i] = Kind(t.Field(i).Tag.Get("kind"))
	}
	return out
}

// Kinds lists all kinds of entities, in the order of Site.
func Kinds() []Kind { return kinds() }

// Entities lists everything in the site, cluster first, in the order of Site.
// The values are copies, which share lists with the site.
func (s *Site) Entities() []Entity {
	out := []Entity{s.Cluster}
	siteLists(s, func(_ Kind, list reflect.Value) {
		for i := range list.Len() {
			out = append(out, list.Index(i).Interface().(Entity))
		}
	})
	return out
}

// Canonical sorts every list by key, so that two sites that mean the same are
// the same. It changes and returns s.
func (s *Site) Canonical() *Site {
	siteLists(s, func(_ Kind, list reflect.Value) {
		sort.SliceStable(list.Interface(), func(i, j int) bool {
			return list.Index(i).Interface().(Entity).Key() < list.Index(j).Interface().(Entity).Key()
		})
	})
	return s
}

// Clone returns a deep copy.
func (s *Site) Clone() *Site {
	out := deepCopy(reflect.ValueOf(*s)).Interface().(Site)
	return &out
}

func deepCopy(v reflect.Value) reflect.Value {
	switch {
	case v.Kind() == reflect.Slice && !v.IsNil():
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(deepCopy(v.Index(i)))
		}
		return out
	case v.Kind() == reflect.Struct:
		out := reflect.New(v.Type()).Elem()
		out.Set(v)
		for i := range v.NumField() {
			if f := out.Field(i); f.CanSet() {
				f.Set(deepCopy(v.Field(i)))
			}
		}
		return out
	}
	return v
}

// Store returns the entity as the store keeps it.
func Store(e Entity) (Stored, error) {
	doc, err := json.Marshal(e)
	if err != nil {
		return Stored{}, fmt.Errorf("config: encode %s %s: %w", e.Kind(), e.Key(), err)
	}
	st := Stored{Kind: e.Kind(), Key: e.Key(), Doc: doc}
	for _, f := range flatten(e) {
		if f.secret != "" {
			if st.Secret == nil {
				st.Secret = Secrets{}
			}
			st.Secret[f.path] = f.secret
		}
	}
	return st, nil
}

// FromStored builds a site from what the store keeps. Documents of a kind this
// program does not know are an error: the store is newer than the program.
func FromStored(all []Stored) (*Site, error) {
	s := &Site{}
	v := reflect.ValueOf(s).Elem()
	for _, st := range all {
		i := slices.Index(kinds(), st.Kind)
		if i < 0 {
			return nil, fmt.Errorf("config: the store holds a %q (%s), which this version does not know; use the version that wrote it or a later one", st.Kind, st.Key)
		}
		if err := putStored(v.Field(i), st); err != nil {
			return nil, err
		}
	}
	return s.Canonical(), nil
}

func putStored(dst reflect.Value, st Stored) error {
	list := dst.Kind() == reflect.Slice
	t := dst.Type()
	if list {
		t = t.Elem()
	}
	p := reflect.New(t)
	if err := json.Unmarshal(st.Doc, p.Interface()); err != nil {
		return fmt.Errorf("config: stored %s %s: %w", st.Kind, st.Key, err)
	}
	if err := putSecrets(p.Elem(), "", st.Secret); err != nil {
		return fmt.Errorf("config: stored %s %s: %w", st.Kind, st.Key, err)
	}
	if list {
		dst.Set(reflect.Append(dst, p.Elem()))
	} else {
		dst.Set(p.Elem())
	}
	return nil
}

func putSecrets(v reflect.Value, path string, secrets Secrets) error {
	if len(secrets) == 0 || v.Kind() != reflect.Struct {
		return nil
	}
	if u, ok := v.Addr().Interface().(interface{ UnmarshalText([]byte) error }); ok {
		if s := secrets[path]; s != "" {
			return u.UnmarshalText([]byte(s))
		}
		return nil
	}
	for i := range v.NumField() {
		if err := putSecrets(v.Field(i), joinPath(path, v.Type().Field(i)), secrets); err != nil {
			return err
		}
	}
	return nil
}
