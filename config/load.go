package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
)

// maxFile bounds a configuration file; 50,000 phones take about 12 MiB.
const maxFile = 64 << 20

// Parse reads a site file. name is the file's name for messages. current, which
// may be nil, is the site in force: a password that it already knows keeps its
// hash, so that loading the same file twice changes nothing. The error is an
// Errors with every mistake of the file, and then there is no site.
func Parse(name string, data []byte, current *Site) (*Site, error) {
	d := newDecoder(name)
	s := &Site{}
	d.document(data, reflect.ValueOf(s).Elem())
	d.copies(s)
	d.passwords(s, current)
	if !d.unusable {
		c := &checker{site: s, at: d.fail}
		c.check()
	}
	if err := d.result(siteLabels(s)); err != nil {
		return nil, err
	}
	return s.Canonical(), nil
}

// Load reads a site file from disk; see Parse.
func Load(path string, current *Site) (*Site, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data, current)
}

func readFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, Errors{{File: path, Problem: "cannot be read: " + reason(err), Expected: "give the path of a readable YAML file"}}
	}
	if len(data) > maxFile {
		return nil, Errors{{File: path, Problem: fmt.Sprintf("is %d bytes long", len(data)), Expected: fmt.Sprintf("at most %d are read", maxFile)}}
	}
	return data, nil
}

func reason(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// Check looks for names out of shape, references to nothing, values out of
// range and contradictions. The error is an Errors without file and line.
func (s *Site) Check() error {
	d := newDecoder("")
	c := &checker{site: s, at: d.fail}
	c.check()
	return d.result(siteLabels(s))
}

// ParseNode reads a node's configuration; the error is an Errors.
func ParseNode(name string, data []byte) (*NodeConfig, error) {
	d := newDecoder(name)
	n := &NodeConfig{}
	d.document(data, reflect.ValueOf(n).Elem())
	checkNode(n, d.fail)
	if err := d.result(nil); err != nil {
		return nil, err
	}
	return n, nil
}

// LoadNode reads a node's configuration from disk.
func LoadNode(path string) (*NodeConfig, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return ParseNode(path, data)
}

// siteLabels maps devices[3] to devices[alice], for messages.
func siteLabels(s *Site) map[string]string {
	labels := map[string]string{}
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		if v.Field(i).Kind() != reflect.Slice {
			continue
		}
		list := v.Type().Field(i).Tag.Get("yaml")
		for j := range v.Field(i).Len() {
			if key := v.Field(i).Index(j).Interface().(Entity).Key(); key != "" && key != "/" {
				labels[fmt.Sprintf("%s[%d]", list, j)] = list + "[" + strings.TrimSuffix(key, "/") + "]"
			}
		}
	}
	return labels
}

// result returns the mistakes in file order, or nil.
func (d *decoder) result(labels map[string]string) error {
	if len(d.errs) == 0 {
		return nil
	}
	for i := range d.errs {
		e := &d.errs[i]
		if end := strings.IndexByte(e.Field, ']') + 1; end > 0 {
			if l, ok := labels[e.Field[:end]]; ok {
				e.Field = l + e.Field[end:]
			}
		}
	}
	sort.SliceStable(d.errs, func(i, j int) bool {
		a, b := d.errs[i], d.errs[j]
		return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
	})
	return d.errs
}
