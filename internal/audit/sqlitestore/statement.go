package sqlitestore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
)

// statement is run past database/sql, which copies every argument of every run: of an audit row that is more memory than
// its packed event takes.
type statement struct {
	conn *sql.Conn
	run  driver.Stmt
	args []driver.NamedValue
}

func prepare(ctx context.Context, conn *sql.Conn, query string) (*statement, error) {
	s := &statement{conn: conn}
	err := conn.Raw(func(dc any) (err error) {
		s.run, err = dc.(driver.ConnPrepareContext).PrepareContext(ctx, query)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("prepare a statement: %w", err)
	}
	return s, nil
}

// add takes the next argument of the next run: an int64, a string, a []byte or nil.
func (s *statement) add(value driver.Value) {
	s.args = append(s.args, driver.NamedValue{Ordinal: len(s.args) + 1, Value: value})
}

// exec runs the statement with what was added, and begins anew.
func (s *statement) exec(ctx context.Context) error {
	defer func() { s.args = s.args[:0] }()
	return s.conn.Raw(func(any) error {
		_, err := s.run.(driver.StmtExecContext).ExecContext(ctx, s.args)
		return err
	})
}

func (s *statement) close() error {
	if s == nil {
		return nil
	}
	if err := s.conn.Raw(func(any) error { return s.run.Close() }); err != nil {
		return fmt.Errorf("close a statement: %w", err)
	}
	return nil
}
