package house

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPackagesTeach: every package has a doc comment of its own, long enough to say something.
func TestPackagesTeach(t *testing.T) {
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if len(p.GoFiles) > 0 && len(strings.Fields(p.Doc)) < 8 {
			t.Errorf("%s: the package comment says %q: tell the reader what the package is and which standard it follows", p.ImportPath, p.Doc)
		}
		for _, word := range []string{"util", "utils", "common", "types", "models", "helpers"} {
			if filepath.Base(p.Dir) == word {
				t.Errorf("%s: a package called %s has no subject", p.ImportPath, word)
			}
		}
	}
}

// TestPureHasNoClock: the pure ring takes time as an argument and starts no goroutine.
func TestPureHasNoClock(t *testing.T) {
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		r, _ := ruleFor(strings.TrimPrefix(p.ImportPath, module))
		if r.std == nil {
			continue
		}
		for _, name := range p.GoFiles {
			checkPure(t, filepath.Join(p.Dir, name))
		}
	}
}

func checkPure(t *testing.T, path string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, 0)
	if err != nil {
		t.Error(err)
		return
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s: a goroutine in the pure ring", set.Position(n.Pos()))
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" {
				switch n.Sel.Name {
				case "Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Sleep", "Tick":
					t.Errorf("%s: time.%s in the pure ring: time is an argument", set.Position(n.Pos()), n.Sel.Name)
				}
			}
		}
		return true
	})
}

// tracked lists the files git knows that match the patterns.
func tracked(t *testing.T, patterns ...string) []string {
	t.Helper()
	out, err := exec.Command("git", append([]string{"ls-files", "--"}, patterns...)...).Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	return strings.Fields(string(out))
}

// TestFilesStayShort: files under 1,000 lines, functions under 150 (one flat switch or table aside: see the comment
// //house:flat on the line before it).
func TestFilesStayShort(t *testing.T) {
	for _, path := range tracked(t, "*.go") {
		src, err := os.ReadFile(path)
		if err != nil {
			continue // removed in the work tree, not yet in the index
		}
		if n := strings.Count(string(src), "\n"); n > 1000 {
			t.Errorf("%s has %d lines; the house keeps files under 1,000", path, n)
		}
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, src, parser.ParseComments)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil || f.Doc != nil && strings.Contains(f.Doc.Text(), "house:flat") {
				continue
			}
			if n := set.Position(f.End()).Line - set.Position(f.Pos()).Line; n > 150 {
				t.Errorf("%s: %s has %d lines", set.Position(f.Pos()), f.Name.Name, n)
			}
		}
	}
}

// TestNothingOfTheWorkshop: the repository speaks of the product alone.
func TestNothingOfTheWorkshop(t *testing.T) {
	words := []string{"/wo" + "rk/", "/fa" + "rm/", "proxy.golang" + ".org", "TO" + "DO", "FIX" + "ME"}
	for _, path := range tracked(t, "*.go", "*.md", "*.sh", "scripts/*", ".ci/*", "Makefile", "*.txt", "*.yaml") {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for n := 1; lines.Scan(); n++ {
			for _, w := range words {
				if strings.Contains(lines.Text(), w) {
					t.Errorf("%s:%d: %q", path, n, w)
				}
			}
		}
		f.Close()
	}
}
