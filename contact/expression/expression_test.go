package expression

import (
	"errors"
	"strings"
	"testing"
)

// facts is an Env of a map, with the function double.
type facts map[string]Value

func (f facts) Variable(name string) Value { return f[name] }

func (f facts) Function(c Call) Value {
	n, _ := f[c.Argument].Number()
	return Number(2 * n)
}

func names() Known {
	return Known{Names: []string{"skill.sales", "language", "vip", "none", "age", "wrap-up", "pin"}, Functions: []string{"double"}, AnyBelow: []string{"caller."}}
}

func env() facts {
	return facts{"skill.sales": Number(5), "language": Text("de"), "vip": Bool(true), "age": Text("42"), "wrap-up": Number(3), "caller.tier": Text("gold"), "pin": Text("007")}
}

func TestValue(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{`skill.sales >= 5 and language == de`, "true"},
		{`skill.sales > 5 or language == "fr"`, "false"},
		{`not vip`, "false"}, {`not not vip`, "true"}, {`vip and not none`, "true"},
		{`language in [fr, de]`, "true"}, {`language in [fr, "it"]`, "false"}, {`age in [41, 42]`, "true"},
		{`age + 1`, "43"}, {`"n" + age`, "n42"}, {`-age - -2 * 3`, "-36"}, {`(1 + 2) * 3`, "9"}, {`7 / 2`, "3.5"}, {`1 / 0`, ""},
		{`age == 42`, "true"}, {`age < 100`, "true"}, {`"b" > "a"`, "true"},
		{`none == ""`, "true"}, {`none < 5`, "false"}, {`none >= 0`, "false"}, {`none - 1`, ""},
		{`double("age") == 84`, "true"}, {`caller.tier begins "go"`, "true"}, {`caller.tier contains ld`, "true"}, {`caller.unknown == x`, "false"},
		{`5 + 3 * (age == 42)`, "8"}, {`vip == true`, "true"}, {`wrap-up - 1`, "2"}, {`age-2`, "40"}, {`wrap-up -1`, "2"},
		{`true and (false or vip)`, "true"}, {`pin == 007`, "true"}, {`pin == "7"`, "true"}, {`pin + ""`, "007"},
	} {
		e, err := Parse(c.source, names())
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		if got := e.Value(env()).String(); got != c.want {
			t.Errorf("%s is %q, want %q", c.source, got, c.want)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		source  string
		offset  int
		problem string
	}{
		{``, 0, "ends where"}, {`language ==`, 11, "ends where"}, {`lang == de`, 0, `no "lang"`}, {`language == de fr`, 15, "too much"},
		{`"de`, 0, "no end"}, {`(vip`, 4, `expected ")"`}, {`vip & vip`, 4, "does not belong"}, {`triple("x")`, 0, "no function"}, {`double(age)`, 7, "in quotes"},
		{`language in de`, 12, "a list"}, {`[a] == [a]`, 7, "a list"}, {`1x == 1`, 0, "no number"}, {`and vip`, 0, "a value is expected"}, {`age in [[1]]`, 12, "in a list"},
		{strings.Repeat("(", 40) + "1" + strings.Repeat(")", 40), 32, "deep"}, {strings.Repeat(" ", MaxLength) + "1", MaxLength, "longer"},
	} {
		_, err := Parse(c.source, names())
		var x *Error
		if !errors.As(err, &x) || x.Offset != c.offset || !strings.Contains(x.Problem, c.problem) {
			t.Errorf("%s: %v, want %q at %d", c.source, err, c.problem, c.offset)
		}
	}
}

func TestUses(t *testing.T) {
	e, err := Parse(`vip and double("age") > age or vip and double("age") > 1`, names())
	if err != nil || strings.Join(e.Names(), " ") != "vip age" || len(e.Calls()) != 1 || e.Calls()[0] != (Call{"double", "age"}) {
		t.Fatal(err, e.Names(), e.Calls())
	}
	var nobody *Expression
	if !nobody.True(env()) || nobody.String() != "" {
		t.Error("no condition holds always")
	}
}

func TestTemplate(t *testing.T) {
	m, err := ParseTemplate(`You are {age}, {{really}}: {age + 1}.`, names())
	if err != nil || m.Fill(env()) != "You are 42, {really}: 43." || len(m.Expressions()) != 2 {
		t.Fatal(err, m.Fill(env()))
	}
	for source, offset := range map[string]int{"a {age": 2, "a } b": 2, "a {nobody} b": 3} {
		var x *Error
		if _, err := ParseTemplate(source, names()); !errors.As(err, &x) || x.Offset != offset {
			t.Errorf("%s: %v", source, err)
		}
	}
}

func TestRead(t *testing.T) {
	for in, want := range map[string]Value{"5": Number(5), "5.5": Number(5.5), "true": Bool(true), "007": Text("007"), "de": Text("de"), "": Text(""), "1e9": Text("1e9"), "-3": Number(-3)} {
		if got := Read(in); got != want || got.String() != in {
			t.Errorf("Read(%q) = %#v", in, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`skill.sales >= 5 and language == de`, `not (age in [1, "x"]) or double("age") / 0`, `{age} and {`, `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if e, err := Parse(s, names()); err == nil {
			again, err := Parse(e.String(), names())
			if err != nil || again.Value(env()) != e.Value(env()) {
				t.Errorf("%q means something else the second time", s)
			}
		} else if x := err.(*Error); x.Offset < 0 || x.Offset > len(s) {
			t.Errorf("%q: offset %d", s, x.Offset)
		}
		if m, err := ParseTemplate(s, names()); err == nil {
			m.Fill(env())
		}
	})
}
