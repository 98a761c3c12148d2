package store

import (
	"context"
	"database/sql"
	"errors"
)

// keyMissing marks, in the outbox, records that are written only where they are missing.
const keyMissing = "missing"

// AppendMissing adds records of calls and legs that somebody else than the engine they lived in makes, afterwards, and that may be in the
// record already: it leaves out a call of which there is a record with the same id, node and start, and a leg of which there is one with the
// same call, node and number that ended between the start of the call (Setup here) and End. It may be called again with the same records.
// With an outbox they wait in it behind what waits there, and it is decided when they are written.
func (s *Store) AppendMissing(ctx context.Context, calls []CallRecord, legs []LegRecord) error {
	return errors.Join(insertMissing(ctx, s, callTable, "write records of lost calls", calls), insertMissing(ctx, s, legTable, "write records of lost legs", legs))
}

func insertMissing[T any](ctx context.Context, s *Store, t table, doing string, records []T) error {
	if len(records) == 0 {
		return nil
	}
	write := func(tx *sql.Tx) error { return insertAbsent(ctx, s.e, tx, t, records) }
	if s.outbox != nil {
		return s.outbox.records(ctx, t, keyMissing, records, write)
	}
	return s.e.inTx(ctx, doing, write)
}

// insertAbsent adds those of the records that are not there, one by one: there are few of them, after the loss of a node.
func insertAbsent[T any](ctx context.Context, e *engine, tx *sql.Tx, t table, records []T) error {
	for i := range records {
		there, err := isThere(ctx, e, tx, any(&records[i]))
		if err != nil {
			return err
		}
		if there {
			continue
		}
		if err := insertRows(ctx, e, tx, t, records[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// isThere looks for a record of the same call or leg, by the index of the call's id.
func isThere(ctx context.Context, e *engine, tx *sql.Tx, record any) (bool, error) {
	var row *sql.Row
	switch r := record.(type) {
	case *CallRecord:
		row = tx.QueryRowContext(ctx, e.rebind(`SELECT COUNT(*) FROM call_record WHERE call = $1 AND node = $2 AND start_at = $3`), plain(r.Call), r.Node, micros(r.Start))
	case *LegRecord:
		row = tx.QueryRowContext(ctx, e.rebind(`SELECT COUNT(*) FROM call_leg WHERE call = $1 AND node = $2 AND leg = $3 AND end_at >= $4`), plain(r.Call), r.Node, r.Leg, micros(r.Setup))
	default:
		return false, nil
	}
	var n int
	err := row.Scan(&n)
	return n > 0, err
}
