package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
)

// What notices are about. The rest of a notice, if any, names the rows.
const (
	noticeAll         = "all"
	noticeRevision    = "revision"
	noticeCertificate = "certificate" // and issuer, serial
	noticeDocument    = "document:"   // and the collection; and keys
	noticeCopy        = "copy"        // within this node: the follower has brought the copy up to date
)

// maxNotice bounds a payload: PostgreSQL takes less than 8000 bytes.
const maxNotice = 7000

// tell notifies the other nodes, and the follower of this one, when the transaction commits. Rows that are not named may be any of them.
func (e *engine) tell(ctx context.Context, tx *sql.Tx, what string, rows ...string) error {
	if e.notify == "" {
		return nil
	}
	for _, payload := range noticesOf(what, rows) {
		if _, err := tx.ExecContext(ctx, e.notify, payload); err != nil {
			return err
		}
	}
	return nil
}

// noticesOf are the payloads that name the rows: several when one has no room for all, and one without names where a name has none.
func noticesOf(what string, rows []string) (out []string) {
	if len(rows) == 0 {
		return []string{what}
	}
	text, err := json.Marshal(rows)
	switch {
	case err != nil || len(text) > maxNotice && len(rows) == 1:
		return []string{what}
	case len(text) <= maxNotice:
		return []string{what + "\n" + string(text)}
	}
	half := len(rows) / 2
	return append(noticesOf(what, rows[:half]), noticesOf(what, rows[half:])...)
}

// parseNotice is the opposite; what it cannot read is about any row.
func parseNotice(payload string) (what string, rows []string) {
	what, text, named := strings.Cut(payload, "\n")
	if named && json.Unmarshal([]byte(text), &rows) != nil {
		rows = nil
	}
	return what, rows
}

// maxNews bounds the rows that wait to be looked at, one by one; where there are more, all are looked at.
const maxNews = 10_000

// news are notices that have not been looked at: what they are about, and the rows; without rows it is any of them.
type news struct {
	about map[string]map[string]bool
	certs map[[2]string]bool
	count int
}

// add takes a notice.
func (n *news) add(payload string) {
	what, rows := parseNotice(payload)
	if n.about == nil {
		n.about, n.certs = map[string]map[string]bool{}, map[[2]string]bool{}
	}
	n.count += len(rows)
	known, told := n.about[what]
	switch {
	case n.count > maxNews || len(rows) == 0 || told && known == nil:
		n.about[what] = nil // any row
		return
	case !told:
		known = map[string]bool{}
		n.about[what] = known
	}
	if what == noticeCertificate {
		if len(rows) != 2 {
			n.about[what] = nil
			return
		}
		n.certs[[2]string{rows[0], rows[1]}] = true
		known[""] = true
		return
	}
	for _, r := range rows {
		known[r] = true
	}
}

// merge takes what other news say.
func (n *news) merge(other news) {
	for what, rows := range other.about {
		switch {
		case rows == nil:
			n.add(what)
		case what == noticeCertificate:
			for ref := range other.certs {
				n.add(noticesOf(what, ref[:])[0])
			}
		default:
			for key := range rows {
				for _, payload := range noticesOf(what, []string{key}) {
					n.add(payload)
				}
			}
		}
	}
}

// everything says that the news are about any row of everything.
func (n news) everything() bool { _, told := n.about[noticeAll]; return told }
