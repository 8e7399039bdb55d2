package sqlitestore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/usher-im/usher/internal/audit"
)

// count counts a row for the table of counts.
func (w *writer) count(o *audit.Outline) { countRow(w.counts, o) }

func countRow(counts map[count]int64, o *audit.Outline) {
	byReason, byIssuer, ok := o.ReadyKeys()
	if !ok {
		return
	}
	t := o.Millis - o.Millis%audit.CountSpan.Milliseconds()
	counts[count{t, "reason", string(byReason)}]++
	if len(byIssuer) > 0 {
		counts[count{t, "issuer", string(byIssuer)}]++
	}
}

const insertCount = "INSERT INTO counts (t, by, key, n) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n"

// countAgain fills the table of counts of a file that had none.
func countAgain(ctx context.Context, tx *sql.Tx) error {
	texts := map[uint64][]byte{}
	err := each(ctx, tx, "SELECT id, v FROM dict", func(id int64, v []byte) { texts[uint64(id)] = append([]byte(nil), v...) })
	if err != nil {
		return err
	}
	counts := map[count]int64{}
	err = each(ctx, tx, "SELECT k, d FROM rows", func(_ int64, data []byte) {
		e, err := audit.UnpackCoded(data, func(n uint64) ([]byte, bool) { v, ok := texts[n]; return v, ok })
		if err != nil {
			return
		}
		o := audit.Outline{Millis: e.Time.UnixMilli(), Kind: e.Kind, Verdict: e.Verdict, Proven: e.Proven, Reason: []byte(e.Reason), Issuer: []byte(e.Issuer)}
		countRow(counts, &o)
	})
	if err != nil {
		return err
	}
	for c, n := range counts {
		if _, err := tx.ExecContext(ctx, insertCount, c.t, c.by, c.key, n); err != nil {
			return err
		}
	}
	return nil
}

func each(ctx context.Context, tx *sql.Tx, query string, f func(int64, []byte)) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		var b sql.RawBytes
		if err := rows.Scan(&n, &b); err != nil {
			return err
		}
		f(n, b)
	}
	return rows.Err()
}
