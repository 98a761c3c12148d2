package store

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// CallRecord is a finished call as a whole. The names of its JSON members are the columns of the table call_record, of exports, and of
// docs/records.md, which says what each means.
type CallRecord struct {
	ID         int64     `json:"id"`   // given by the store, rising
	Call       string    `json:"call"` // global call id
	Node       string    `json:"node"`
	Start      time.Time `json:"start_at"`
	Answer     time.Time `json:"answer_at,omitzero"` // zero: never answered
	End        time.Time `json:"end_at"`
	Calling    string    `json:"calling"`          // number presented
	Called     string    `json:"called"`           // number reached
	Dialled    string    `json:"dialled"`          // number as dialled
	FromDevice string    `json:"from_device"`      // device or trunk
	ToDevice   string    `json:"to_device"`        // device or trunk
	Cause      int       `json:"cause"`            // Q.850
	ReleasedBy string    `json:"released_by"`      // calling, called, application, or system
	Security   string    `json:"security"`         // encrypted, authenticated, non-secure: the weakest leg; empty: nothing was said
	Detail     string    `json:"detail,omitempty"` // JSON, for whoever wrote it
}

// LegRecord is one leg of a call that is over: one device's part in it. Every leg has one row, whatever became of it. Names as for
// CallRecord; the table is call_leg.
type LegRecord struct {
	ID        int64  `json:"id"`   // given by the store, rising
	Call      string `json:"call"` // global call id
	Node      string `json:"node"`
	Party     int64  `json:"party"`
	Leg       int64  `json:"leg"`
	Device    string `json:"device,omitempty"`
	Trunk     string `json:"trunk,omitempty"`
	Applet    string `json:"applet,omitempty"`
	Feature   string `json:"feature,omitempty"` // comma separated
	Line      string `json:"line,omitempty"`
	Partition string `json:"line_partition,omitempty"`
	Direction string `json:"direction"`        // in, out
	Joined    string `json:"joined,omitempty"` // global ids of calls it was in before, comma separated

	Calling        string `json:"calling,omitempty"`
	Called         string `json:"called,omitempty"`
	Dialled        string `json:"dialled,omitempty"`
	Redirecting    string `json:"redirecting,omitempty"`
	RedirectReason string `json:"redirect_reason,omitempty"` // words of RFC 5806
	Connected      string `json:"connected,omitempty"`

	Setup  time.Time `json:"setup_at"`
	Alert  time.Time `json:"alert_at,omitzero"`  // zero: it never rang
	Answer time.Time `json:"answer_at,omitzero"` // zero: never answered
	End    time.Time `json:"end_at"`

	Outcome    string `json:"outcome"` // answered, failed, cancelled, elsewhere
	Cause      int    `json:"cause"`   // Q.850
	CauseName  string `json:"cause_name"`
	ReleasedBy string `json:"released_by"` // leg, other, system, application, driver

	Signalling string `json:"signalling"`                  // proof of the peer: mutual, server, local, none
	Cipher     string `json:"signalling_cipher,omitempty"` // TLS version and cipher suite
	Media      string `json:"media,omitempty"`             // srtp, rtp; empty: none was agreed
	Suite      string `json:"media_suite,omitempty"`       // of SRTP
	Lock       string `json:"lock"`                        // encrypted, authenticated, non-secure, unknown
	LockReason string `json:"lock_reason,omitempty"`
	Proof      string `json:"proof"` // of the last packets: authenticated, plain, failed, silent, none

	Path       string  `json:"media_path,omitempty"` // direct, anchored, mixed, source
	Codec      string  `json:"codec,omitempty"`
	MeasuredBy string  `json:"measured_by,omitempty"` // here, phone; empty: nobody, and the figures below say nothing
	Sent       int64   `json:"packets_sent"`
	Received   int64   `json:"packets_received"`
	Lost       int64   `json:"packets_lost"`
	Jitter     float64 `json:"jitter_ms"`
	MOS        float64 `json:"mos"`
}

// CallQuery selects records of calls or legs, newest first. Zero fields do not restrict.
type CallQuery struct {
	Since, Until time.Time // by the start of the call, the setup of the leg
	Party        string    // one of the numbers, the device or the trunk
	Call         string    // global call id
	Limit        int       // 0: 100
	// Oldest turns the order around, and After leaves out records up to this id: the last id of one page is the After of the next.
	Oldest bool
	After  int64
}

// A table is a Go struct as rows: its fields in order, each in the column of its JSON name. The first is the id, which the store gives.
type table struct {
	name    string
	when    string   // the column Since and Until are about
	parties []string // the columns Party is looked for in
	names   []string // of the columns, without the id
}

var (
	callTable = newTable[CallRecord]("call_record", "start_at", "calling", "called", "dialled", "from_device", "to_device")
	legTable  = newTable[LegRecord]("call_leg", "setup_at", "calling", "called", "dialled", "connected", "redirecting", "line", "device", "trunk")
)

func newTable[T any](name, when string, parties ...string) table {
	t := table{name: name, when: when, parties: parties}
	for field := range Columns[T]() {
		t.names = append(t.names, field)
	}
	t.names = t.names[1:]
	return t
}

// Columns are the columns of a record in order, by name, with the index of the field.
func Columns[T any]() iter.Seq2[string, int] {
	of := reflect.TypeFor[T]()
	return func(yield func(string, int) bool) {
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			if !yield(name, i) {
				return
			}
		}
	}
}

// insert adds records, all or none.
func insert[T any](ctx context.Context, s *Store, t table, doing string, records []T) error {
	if len(records) == 0 {
		return nil
	}
	write := func(tx *sql.Tx) error { return insertRows(ctx, s.e, tx, t, records) }
	if s.outbox != nil {
		return s.outbox.records(ctx, t, "", records, write)
	}
	return s.e.inTx(ctx, doing, write)
}

// insertRows adds records: some rows with every run of one statement.
func insertRows[T any](ctx context.Context, e *engine, tx *sql.Tx, t table, records []T) error {
	args := make([]any, 0, min(len(records), e.rows)*len(t.names))
	if whole := len(records) / e.rows; whole > 1 {
		st, err := tx.PrepareContext(ctx, t.insertion(e.rows, e.numbered))
		if err != nil {
			return err
		}
		defer st.Close()
		for range whole {
			if _, err := st.ExecContext(ctx, appendRows(args, records[:e.rows])...); err != nil {
				return err
			}
			records = records[e.rows:]
		}
	}
	for len(records) > 0 {
		n := min(len(records), e.rows)
		if _, err := tx.ExecContext(ctx, t.insertion(n, e.numbered), appendRows(args, records[:n])...); err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

// appendRows appends the values of records, in the order of their columns.
func appendRows[T any](args []any, records []T) []any {
	for i := range records {
		args = appendValues(args, reflect.ValueOf(&records[i]).Elem())
	}
	return args
}

// insertion is the statement for n rows, its values numbered ($1) or not (?).
func (t table) insertion(n int, numbered bool) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + t.name + " (" + strings.Join(t.names, ", ") + ") VALUES ")
	for i := range n * len(t.names) {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%len(t.names) == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		if numbered {
			b.WriteString("$" + strconv.Itoa(i+1))
		} else {
			b.WriteByte('?')
		}
	}
	b.WriteByte(')')
	return b.String()
}

// appendValues appends the fields of a record as SQL values, without the id; a time is microseconds.
func appendValues(args []any, v reflect.Value) []any {
	for i := 1; i < v.NumField(); i++ {
		switch f := v.Field(i); f.Kind() {
		case reflect.String: // not Interface: that takes memory for an empty one too, and most are
			args = append(args, plain(f.String()))
		case reflect.Int, reflect.Int64:
			args = append(args, f.Int())
		default:
			x := f.Interface()
			if at, ok := x.(time.Time); ok {
				x = micros(at)
			}
			args = append(args, x)
		}
	}
	return args
}

// plain is a text as PostgreSQL takes it: UTF-8 without NUL. What a peer sends into a record must not keep the record from being written.
func plain(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// scan reads a row into a record.
func scan[T any](r *sql.Rows) (out T, err error) {
	v := reflect.ValueOf(&out).Elem()
	into := make([]any, v.NumField())
	times := map[int]*int64{}
	for i := range into {
		into[i] = v.Field(i).Addr().Interface()
		if _, ok := into[i].(*time.Time); ok {
			times[i] = new(int64)
			into[i] = times[i]
		}
	}
	err = r.Scan(into...)
	for i, at := range times {
		v.Field(i).Set(reflect.ValueOf(fromMicros(*at)))
	}
	return out, err
}

// query reads records.
func query[T any](ctx context.Context, e *engine, t table, doing string, q CallQuery) ([]T, error) {
	var w where
	w.span(t.when, q.Since, q.Until)
	if q.Party != "" {
		w.add("("+strings.Join(t.parties, " = $ OR ")+" = $)", q.Party)
	}
	if q.Call != "" {
		w.add("call = $", q.Call)
	}
	if q.After != 0 {
		w.add("id > $", q.After)
	}
	rows, err := e.read.QueryContext(ctx, e.rebind("SELECT id, "+strings.Join(t.names, ", ")+" FROM "+t.name+w.tail(q.Oldest, q.Limit)), w.args...)
	out, err := all(rows, err, scan[T])
	return out, e.failure(doing, err)
}

// AppendCalls adds call records, all or none. With an outbox they wait in it while PostgreSQL is away or full, and are written later, once;
// ErrNoSpace says that the outbox is full too.
func (s *Store) AppendCalls(ctx context.Context, records ...CallRecord) error {
	return insert(ctx, s, callTable, "write call records", records)
}

// AppendLegs adds records of legs, all or none, as AppendCalls does.
func (s *Store) AppendLegs(ctx context.Context, records ...LegRecord) error {
	return insert(ctx, s, legTable, "write records of legs", records)
}

// Calls lists call records.
func (s *Store) Calls(ctx context.Context, q CallQuery) ([]CallRecord, error) {
	return query[CallRecord](ctx, s.e, callTable, "read call records", q)
}

// Legs lists records of legs.
func (s *Store) Legs(ctx context.Context, q CallQuery) ([]LegRecord, error) {
	return query[LegRecord](ctx, s.e, legTable, "read records of legs", q)
}

// PruneCalls removes at most limit records of calls that began before a time, and as many of legs, and says how many there were: fewer
// than limit of each means that none is left. A small limit keeps writers waiting for a moment only.
func (s *Store) PruneCalls(ctx context.Context, before time.Time, limit int) (removed int64, err error) {
	return s.prune(ctx, before, limit, legTable, callTable)
}

func (s *Store) prune(ctx context.Context, before time.Time, limit int, tables ...table) (removed int64, err error) {
	for _, t := range tables {
		res, err := s.e.write.ExecContext(ctx, s.e.rebind(fmt.Sprintf("DELETE FROM %s WHERE id IN (SELECT id FROM %s WHERE %s < $1 ORDER BY %s LIMIT %d)",
			t.name, t.name, t.when, t.when, limit)), micros(before))
		if err != nil {
			return removed, s.e.failure("remove old records", err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return removed, s.e.failure("remove old records", err)
		}
		removed += n
	}
	return removed, nil
}
