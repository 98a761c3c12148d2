package interpreter

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// runOne runs one document; the caller says nothing and then hangs up.
func runOne(t testing.TB, ctx context.Context, document string, limits Limits) (Result, *world) {
	t.Helper()
	w := &world{files: map[string]string{"main.vxml": document}, caller: strings.Fields("1 - 2 # * hangup")}
	return Run(ctx, Start{URL: "http://t/main.vxml", Limits: limits}, w), w
}

// TestRunaway: whatever a document does, its session ends, and says why.
func TestRunaway(t *testing.T) {
	for name, c := range map[string]struct{ document, event, why string }{
		"script loop":      {`<form><block><script>while (true) {}</script></block></form>`, "runaway", "scripts ran longer"},
		"loop in a cond":   {`<script>function f() { for (;;); }</script><form><block cond="f()"/></form>`, "runaway", "scripts ran longer"},
		"caught loop":      {`<catch><goto next="#a"/></catch><form id="a"><block><script>try { while (true) {} } catch (e) {}</script></block></form>`, "runaway", "scripts ran longer"},
		"loop in toString": {`<form><block><value expr="({toString: function() { for (;;); }})"/></block></form>`, "runaway", "scripts ran longer"},
		"loop in a getter": {`<form><block><var name="o" expr="({get x() { for (;;); }})"/><exit namelist="o"/></block></form>`, "runaway", "scripts ran longer"},
		"promises":         {`<form><block><script>(function f() { Promise.resolve().then(f) })()</script></block></form>`, "runaway", "scripts ran longer"},
		"deep recursion":   {`<form><block><script>function f() { return f() } f()</script></block></form>`, eventSemantic, ""},
		"deep source":      {`<form><block><log expr="` + strings.Repeat("(", 5000) + `"/></block></form>`, eventSemantic, "nested deeper"},
		"deep negation":    {`<form><block><log expr="` + strings.Repeat("!", 50000) + `1"/></block></form>`, eventSemantic, "nested deeper"},
		"variables":        {`<script>for (var i = 0; i &lt; 1000; i++) eval('v' + i + ' = 1')</script><form/>`, eventSemantic, "variables in one scope"},
		"long value":       {`<form><block><value expr="'x'.repeat(100000)"/></block></form>`, eventSemantic, "bytes"},
		"big exit":         {`<form><block><exit expr="({a: 'x'.repeat(100000)})"/></block></form>`, eventSemantic, "bytes"},
		"foreach":          {`<form><var name="a" expr="[1,2,3,4,5,6,7,8,9]"/><block><foreach array="a"><foreach array="a"><foreach array="a"><foreach array="a"><log>x</log></foreach></foreach></foreach></foreach></block></form>`, "runaway", "elements were interpreted"},
		"prompt foreach":   {`<form><var name="a" expr="[1,2,3,4,5,6,7,8,9]"/><block><prompt><foreach array="a"><foreach array="a"><foreach array="a"><foreach array="a">x</foreach></foreach></foreach></foreach></prompt></block></form>`, "", ""},
		"documents":        {`<form><block><goto next="main.vxml"/></block></form>`, "runaway", "documents lead to documents"},
		"wide grammar":     {`<form><field name="x"><grammar>((1|1)&lt;0-&gt; | (1|1)&lt;0-&gt;)&lt;0-&gt; 2</grammar></field></form>`, "", ""},
		"array length":     {`<form><var name="a" expr="new Array(4294967295)"/><block><foreach array="a"><log>x</log></foreach></block></form>`, eventSemantic, "more members"},
		"cycle out":        {`<form><block><script>var o = {}; o.o = o;</script><exit namelist="o"/></block></form>`, eventSemantic, ""},
		"cycle submitted":  {`<form><block><script>var o = {}; o.o = o;</script><submit next="x" namelist="o"/></block></form>`, eventSemantic, "too many values"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			limits := Limits{Steps: 2_000, Script: 10 * time.Second, Variables: 100, Value: 10_000, Pages: 8}
			if strings.HasPrefix(c.why, "scripts") {
				limits.Script = 100 * time.Millisecond
			}
			r, w := runOne(t, t.Context(), c.document, limits)
			if c.event != "" && (r.End != Failed || r.Event != c.event || !strings.Contains(r.Error, c.why)) {
				t.Errorf("%+v; want %s: %s\n%s", r, c.event, c.why, w.trace.String())
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestCancel: cancelling the context ends a session in the middle of a script, with its cause.
func TestCancel(t *testing.T) {
	cause := errors.New("the operator said so")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	r, _ := runOne(t, ctx, `<form><block><script>while (true) {}</script></block></form>`, Limits{Script: time.Hour})
	if r.End != Failed || r.Event != "cancelled" || !strings.Contains(r.Error, cause.Error()) {
		t.Errorf("%+v", r)
	}
}

// broken is a platform that fails after some actions.
type broken struct {
	*world
	after int
}

func (b *broken) Do(ctx context.Context, a Action) (Outcome, error) {
	if b.after--; b.after < 0 {
		return Outcome{}, errors.New("the pipe is gone")
	}
	return b.world.Do(ctx, a)
}

// TestPlatformGone: whenever the platform goes, the session ends at once and says so.
func TestPlatformGone(t *testing.T) {
	const document = `<catch><goto next="#f"/></catch><form id="f"><field name="x" type="digits"><prompt>x</prompt></field><record name="r"/><transfer name="t" dest="tel:1" bridge="true"/><block><log>x</log></block></form>`
	for after := range 6 {
		w := &world{files: map[string]string{"main.vxml": document}, caller: strings.Fields("1 # rec busy")}
		r := Run(t.Context(), Start{URL: "http://t/main.vxml"}, &broken{w, after})
		if r.End != Failed || r.Event != "error.platform" {
			t.Errorf("after %d: %+v\n%s", after, r, w.trace.String())
		}
	}
}

// TestValuesCross: actions, outcomes, a start and a result are the same behind JSON: the other side may be another process.
func TestValuesCross(t *testing.T) {
	in := Action{Play: &Play{Prompts: []Prompt{{Barge: true, Pieces: []Piece{{Audio: &Audio{URL: "u", Else: []Piece{{Text: "t", Say: &Say{As: "digits"}}}}}, {Break: time.Second}}}}, Collect: &Collect{Timeout: 5 * time.Second}}}
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out Action
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	again, _ := json.Marshal(out)
	if string(raw) != string(again) {
		t.Errorf("%s\n%s", raw, again)
	}
}

// FuzzRun: no document makes the interpreter panic or run for ever.
func FuzzRun(f *testing.F) {
	f.Add(`<form><field name="x" type="digits"><prompt count="2">x</prompt><filled><clear/></filled></field><block><exit namelist="x"/></block></form>`)
	f.Add(`<menu dtmf="true"><prompt><enumerate/></prompt><choice next="#a">a</choice><choice event="x">b</choice></menu><form id="a"><subdialog src="#b"/></form><form id="b"><block><return/></block></form>`)
	f.Add(`<form><transfer dest="tel:1" type="bridge"><grammar>1</grammar></transfer><record name="r"/><block><if cond="r"><value expr="r"/><elseif cond="1"/><else/></if><throw event="a.b"/></block></form>`)
	f.Add(`<var name="a" expr="[1]"/><script>var b = {c: 1}; function d() { return e }</script><form><grammar mode="dtmf" root="r"><rule id="r">1<tag>out.x=1</tag></rule></grammar><initial/><field name="x"/></form>`)
	f.Fuzz(func(t *testing.T, document string) {
		if len(document) > 2048 {
			return
		}
		if !strings.Contains(document, "<vxml") {
			document = `<vxml version="2.1">` + document + `</vxml>`
		}
		r, _ := runOne(t, t.Context(), document, Limits{Steps: 500, Session: 2_000, Script: 50 * time.Millisecond, Variables: 50, Value: 4_096, Nesting: 4, Catches: 4, Pages: 8, CallStack: 50})
		if r.End == "" || r.Event == "error.internal" {
			t.Fatalf("%+v", r)
		}
	})
}
