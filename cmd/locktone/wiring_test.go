package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestHomeOfNodeFile: the folder a node file names counts when the file was given; found in a home, it can only name that one.
func TestHomeOfNodeFile(t *testing.T) {
	for _, c := range []struct{ home, nodeFile, named, want, wrong string }{
		{home: "/a", want: "/a"},
		{home: "/a", nodeFile: "/etc/lt/node.yaml", named: "data", want: "/etc/lt/data"},
		{home: "/a", nodeFile: "/etc/lt/node.yaml", named: "/srv/lt", want: "/srv/lt"},
		{home: "/a", nodeFile: "/etc/lt/node.yaml", want: "/a"},
		{home: "/a", named: ".", want: "/a"},
		{home: "/a", named: "/b", wrong: "start with --node"},
	} {
		o := UpOptions{Home: c.home, NodeFile: c.nodeFile}
		file := c.nodeFile
		if file == "" {
			file = filepath.Join(c.home, "node.yaml")
		}
		got, err := homeOf(o, file, c.named)
		if got != c.want || (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
}
