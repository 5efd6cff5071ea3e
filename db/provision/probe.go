package provision

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"bulkhead/backend/databackend"
	"bulkhead/db"
	"bulkhead/db/pgerr"
	"bulkhead/realms"
	"bulkhead/wire"
)

// ProbeResult is what one probe found.
type ProbeResult struct {
	Name      string `json:"name"`
	Group     string `json:"group"`
	Essential bool   `json:"essential"` // when this is open, one tenant reaches another's rows or becomes another
	Open      bool   `json:"open"`
	Detail    string `json:"detail"`         // what was seen, or why not
	Code      string `json:"code,omitempty"` // SQLSTATE of the refusal
}

// ProbeReport is what a valid login of one tenant can learn of or do to another tenant or the server.
type ProbeReport struct {
	Driver    databackend.Driver `json:"driver"`
	Level     Level              `json:"level"`
	Server    string             `json:"server"`
	Timescale bool               `json:"timescale"`
	Results   []ProbeResult      `json:"results"`
}

// Open counts the probes that found something open.
func (r ProbeReport) Open() int { return len(r.open(false)) }

// EssentialOpen lists the open probes by which a tenant reaches another's rows or becomes another. There must be none.
func (r ProbeReport) EssentialOpen() []ProbeResult { return r.open(true) }

func (r ProbeReport) open(essentialOnly bool) []ProbeResult {
	var found []ProbeResult
	for _, one := range r.Results {
		if one.Open && (one.Essential || !essentialOnly) {
			found = append(found, one)
		}
	}
	return found
}

// Probe makes two installations of two new projects, tries with a login of the first what PostgreSQL offers to
// reach the second, and removes both.
func (p *Provisioner) Probe(ctx context.Context) (ProbeReport, error) { return p.probeAs(ctx, nil) }

// probeAs has somebody else than a tenant try.
func (p *Provisioner) probeAs(ctx context.Context, identity *Login) (ProbeReport, error) {
	s := &scene{p: p, identity: identity, attacker: realms.OfInstallation(wire.NewKey(), wire.NewKey(), wire.Dev), victim: realms.OfInstallation(wire.NewKey(), wire.NewKey(), wire.Dev)}
	defer s.strike(ctx)
	if err := s.set(ctx); err != nil {
		return ProbeReport{}, db.Error("provision: probe", err)
	}
	placed := s.a.public()
	report := ProbeReport{Driver: placed.Driver, Level: p.level, Timescale: placed.Timescale}
	if err := s.super.QueryRow(ctx, "SHOW server_version").Scan(&report.Server); err != nil {
		return ProbeReport{}, db.Error("provision: probe", err)
	}
	for _, pr := range probes {
		if pr.needsTimescale && !placed.Timescale {
			continue
		}
		result, err := s.run(ctx, pr)
		if err != nil {
			return ProbeReport{}, db.Error("provision: probe "+pr.name, err)
		}
		report.Results = append(report.Results, result)
	}
	return report, nil
}

// probe tries one thing as the attacker.
type probe struct {
	group, name    string
	essential      bool
	needsTimescale bool
	try            func(ctx context.Context, s *scene) (seen string, err error) // no error means open
}

// errClosed says that nothing was refused, and that nothing of others was seen either.
var errClosed = errors.New("shows nothing of others")

func (s *scene) run(ctx context.Context, pr probe) (ProbeResult, error) {
	result := ProbeResult{Name: pr.name, Group: pr.group, Essential: pr.essential}
	seen, err := pr.try(ctx, s)
	var refusal *pgconn.PgError
	switch {
	case err == nil:
		result.Open, result.Detail = true, seen
	case errors.Is(err, errClosed):
		result.Detail = errClosed.Error()
	case errors.As(err, &refusal):
		result.Detail, result.Code = refusal.Message, pgerr.Code(err)
	default:
		return result, err
	}
	return result, s.aftermath(ctx)
}
