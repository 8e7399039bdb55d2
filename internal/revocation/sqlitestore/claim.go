package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/usher-im/usher/internal/revocation"
)

// Claim implements revocation.Store: one transaction, and SQLite has one writer, so one of many is first.
func (s *Store) Claim(ctx context.Context, m revocation.Mark) (revocation.Claim, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return revocation.Claim{}, err
	}
	defer tx.Rollback()
	now := s.now()
	claim, err := claimIn(ctx, tx, m, now)
	if err != nil {
		return revocation.Claim{}, err
	}
	return claim, tx.Commit()
}

func claimIn(ctx context.Context, tx *sql.Tx, m revocation.Mark, now time.Time) (revocation.Claim, error) {
	var owner string
	var at, until int64
	err := tx.QueryRowContext(ctx, "SELECT owner, at, until FROM marks WHERE id = ?", m.Key[:]).Scan(&owner, &at, &until)
	if errors.Is(err, sql.ErrNoRows) || err == nil && until > 0 && until <= now.UnixMilli() {
		_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO marks (id, owner, at, until) VALUES (?, ?, ?, ?)",
			m.Key[:], m.Owner, now.UnixMilli(), revocation.UnixMS(m.Until))
		return revocation.Claim{First: true, Owner: m.Owner, At: revocation.FromMS(now.UnixMilli())}, err
	}
	if err != nil {
		return revocation.Claim{}, err
	}
	claim := revocation.Claim{Owner: owner, At: revocation.FromMS(at), Age: now.Sub(revocation.FromMS(at)).Abs()}
	if m.Resumes != "" && m.Resumes == owner && m.Owner != owner {
		claim.Owner = m.Owner
		_, err = tx.ExecContext(ctx, "UPDATE marks SET owner = ? WHERE id = ?", m.Owner, m.Key[:])
	}
	return claim, err
}
