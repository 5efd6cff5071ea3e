package provision

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"bulkhead/db/pgerr"
)

// fill puts the victim's names and numbers in the place of their marks in a probe's SQL.
func (s *scene) fill(sql string) string {
	return strings.NewReplacer(
		"{victim}", s.victimTable(), "{own}", s.ownTable(),
		"{schema}", ident(s.b.Schema), "{rw}", ident(rwRole(s.b.Schema)), "{login}", ident(s.loginB.Role), "{db}", ident(s.b.Database.Name),
		"{ownrole}", ident(s.login.Role), "{ownrw}", ident(rwRole(s.a.Schema)), "{ownowner}", ident(ownerRole(s.a.Schema)), "{owndb}", ident(s.a.Database.Name),
		"{oid.schema}", strconv.Itoa(int(s.oids["schema"])), "{oid.table}", strconv.Itoa(int(s.oids["table"])), "{oid.part}", strconv.Itoa(int(s.oids["part"])), "{oid.index}", strconv.Itoa(int(s.oids["index"])), "{oid.type}", strconv.Itoa(int(s.oids["type"])),
		"{oid.role}", strconv.Itoa(int(s.oids["role"])), "{oid.database}", strconv.Itoa(int(s.oids["database"])), "{pid}", strconv.Itoa(int(s.oids["pid"])),
	).Replace(sql)
}

// runs is open when the attacker may run the statements.
func runs(statements ...string) func(context.Context, *scene) (string, error) {
	return func(ctx context.Context, s *scene) (string, error) {
		conn, err := s.connect(ctx)
		if err != nil {
			return "", err
		}
		defer disconnect(ctx, conn)
		for _, sql := range statements {
			if _, err := conn.Exec(ctx, s.fill(sql)); err != nil {
				return "", err
			}
		}
		return "allowed", nil
	}
}

// undone is runs in a transaction that is rolled back, for what would otherwise change the scene.
func undone(statements ...string) func(context.Context, *scene) (string, error) {
	all := append([]string{"BEGIN"}, statements...)
	return runs(append(all, "ROLLBACK")...)
}

// copies is open when COPY gives rows of the victim.
func copies(sql string) func(context.Context, *scene) (string, error) {
	return func(ctx context.Context, s *scene) (string, error) {
		conn, err := s.connect(ctx)
		if err != nil {
			return "", err
		}
		defer disconnect(ctx, conn)
		var out strings.Builder
		if _, err := conn.PgConn().CopyTo(ctx, &out, s.fill(sql)); err != nil {
			return "", err
		}
		if found := s.mentionsVictim(out.String()); found != "" {
			return found, nil
		}
		return "", errClosed
	}
}

// tells is open when what a query gives names the victim.
func tells(sql string) func(context.Context, *scene) (string, error) {
	return func(ctx context.Context, s *scene) (string, error) {
		text, err := s.read(ctx, sql)
		if err != nil {
			return "", err
		}
		if found := s.mentionsVictim(text); found != "" {
			return found, nil
		}
		return "", errClosed
	}
}

// answers is open when a query gives anything.
func answers(sql string) func(context.Context, *scene) (string, error) {
	return func(ctx context.Context, s *scene) (string, error) {
		text, err := s.read(ctx, sql)
		if err != nil {
			return "", err
		}
		if text == "" {
			return "", errClosed
		}
		return text[:min(len(text), 60)], nil
	}
}

// read gives all that a query gives as text; NULL gives nothing.
func (s *scene) read(ctx context.Context, sql string) (string, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return "", err
	}
	defer disconnect(ctx, conn)
	rows, err := conn.Query(ctx, s.fill(sql), pgx.QueryExecModeExec, pgx.QueryResultFormats{pgx.TextFormatCode})
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var text strings.Builder
	for rows.Next() {
		for _, value := range rows.RawValues() {
			text.Write(value)
		}
	}
	return text.String(), rows.Err()
}

// enters is open when the attacker's login is let into a database.
func enters(which func(*scene) string) func(context.Context, *scene) (string, error) {
	return func(ctx context.Context, s *scene) (string, error) {
		conn, err := s.connectTo(ctx, which(s))
		if err != nil {
			return "", err
		}
		disconnect(ctx, conn)
		return "let in", nil
	}
}

// tellsApart is open when a statement's refusal differs for a name of the victim and for one that does not exist: whoever
// guesses a name learns that it is right.
func tellsApart(sql func(name string) string, name func(*scene) string) func(context.Context, *scene) (string, error) {
	return func(ctx context.Context, s *scene) (string, error) {
		real, err := s.refusal(ctx, sql(ident(name(s))))
		if err != nil {
			return "", err
		}
		random, err := s.refusal(ctx, sql(ident(drawName())))
		if err != nil {
			return "", err
		}
		if real == random {
			return "", errClosed
		}
		return fmt.Sprintf("refused with %q or %q", real, random), nil
	}
}

// refusal gives the SQLSTATE of what a statement meets; "" where it runs.
func (s *scene) refusal(ctx context.Context, sql string) (string, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return "", err
	}
	defer disconnect(ctx, conn)
	_, err = conn.Exec(ctx, sql)
	return pgerr.Code(err), nil
}

// raises is open when a session can set a limit to what it likes.
func raises(setting, value string) func(context.Context, *scene) (string, error) {
	return func(ctx context.Context, s *scene) (string, error) {
		conn, err := s.connect(ctx)
		if err != nil {
			return "", err
		}
		defer disconnect(ctx, conn)
		if _, err := conn.Exec(ctx, "SET "+setting+" = "+literal(value)); err != nil {
			return "", err
		}
		var now string
		err = conn.QueryRow(ctx, "SHOW "+setting).Scan(&now)
		return setting + " is " + now, err
	}
}
