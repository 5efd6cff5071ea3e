package httpapi

import (
	"context"
	"net/http"

	"golang.org/x/mod/sumdb/tlog"

	"bulkhead/backend/audit/ledger"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// AuditKey is the key that checkpoints are signed with. Keep it: whoever changes the record cannot sign with it.
type AuditKey struct {
	Key string `json:"key" doc:"In the form of golang.org/x/mod/sumdb/note: name, hash, algorithm and Ed25519 key"`
}

// AuditLogState is how far a log is.
type AuditLogState struct {
	Log        string   `json:"log" doc:"platform, logs (the log of the logs) or the key of a project"`
	ProjectKey wire.Key `json:"project_key,omitempty"`
	Size       int64    `json:"size,omitempty" doc:"Absent where the stored checkpoint is not one that this server signed"`
	Root       string   `json:"root,omitempty" doc:"Of the tree, as RFC 6962 has it; base64"`
}

// AuditConsistency proves that a log has only grown.
type AuditConsistency struct {
	Log        string      `json:"log"`
	From       int64       `json:"from"`
	Size       int64       `json:"size"`
	Hashes     []tlog.Hash `json:"hashes" nullable:"false" doc:"As RFC 6962 has them; base64"`
	Checkpoint string      `json:"checkpoint"`
}

// AuditProof proves one entry, without this server.
type AuditProof = ledger.Proof

type logInput struct {
	Log string `path:"log" maxLength:"20" doc:"platform, logs or the key of a project"`
	log ledger.Log
}

// target is the project of the log. The log of a project that is no more belongs to the platform.
func (in *logInput) target(ctx context.Context, a *API) (Target, error) {
	var err error
	if in.log, err = ledger.ParseLog(in.Log); err != nil {
		return Target{}, errs.E(wire.NotFound, "no such log")
	}
	return a.logTarget(ctx, in.log)
}

func (a *API) logTarget(ctx context.Context, l ledger.Log) (Target, error) {
	if l <= ledger.Platform {
		return platform, nil
	}
	p, err := a.Assets.FindProject(ctx, l.String())
	if errs.KindOf(err) == wire.NotFound {
		return platform, nil
	}
	return projectTarget(p), err
}

type tileInput struct {
	Log  string `path:"log" maxLength:"20" doc:"platform, logs or the key of a project"`
	Path string `path:"path" maxLength:"100" doc:"LEVEL/PLACE or entries/PLACE, with .p/WIDTH where it is not full: see C2SP tlog-tiles"`
	log  ledger.Log
}

func (in *tileInput) target(ctx context.Context, a *API) (Target, error) {
	of := logInput{Log: in.Log}
	on, err := of.target(ctx, a)
	in.log = of.log
	return on, err
}

func (*tileInput) wants(on Target) wire.Flag { return auditFlag(on) }

type consistencyInput struct {
	Log  string `path:"log" maxLength:"20" doc:"platform, logs or the key of a project"`
	From int64  `query:"from" minimum:"1" required:"true" doc:"The older size"`
	log  ledger.Log
}

func (in *consistencyInput) target(ctx context.Context, a *API) (Target, error) {
	of := logInput{Log: in.Log}
	on, err := of.target(ctx, a)
	in.log = of.log
	return on, err
}

func (*consistencyInput) wants(on Target) wire.Flag { return auditFlag(on) }

type entryInput struct {
	Sequence int64 `path:"sequence" minimum:"1"`
	placed   ledger.Placed
}

func (in *entryInput) target(ctx context.Context, a *API) (_ Target, err error) {
	if in.placed, err = a.Audit.Placed(ctx, in.Sequence); err != nil && errs.KindOf(err) != wire.Unavailable {
		return Target{}, err
	}
	return a.logTarget(ctx, in.placed.Log)
}

type logsInput struct{ Page }

func (*logsInput) target(context.Context, *API) (Target, error) { return platform, nil }

type auditKeyInput struct{}

func (*auditKeyInput) target(context.Context, *API) (Target, error) { return oneself, nil }

// plain is a reply that is not JSON.
type plain struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (a *API) registerAuditLogs() {
	get := func(path, id, summary string) route {
		return route{method: http.MethodGet, path: path, id: id, tag: "audit", summary: summary, flag: wire.ProjectAudit}
	}
	key := get("/audit/key", "show-audit-key", "Show the key that the audit log is signed with")
	key.flag = wire.Self
	logs := get("/audit/logs", "list-audit-logs", "List the Merkle logs that the caller may read")
	logs.listing = true
	handle(a, key, a.auditKey)
	handle(a, logs, a.listLogs)
	handle(a, get("/audit/logs/{log}/checkpoint", "show-audit-checkpoint", "Show a log's newest checkpoint, a signed note"), a.checkpoint)
	handle(a, get("/audit/logs/{log}/tile/{path...}", "show-audit-tile", "Show a tile of a log, or a bundle of its entries"), a.tile)
	handle(a, get("/audit/logs/{log}/consistency", "prove-audit-consistency", "Prove that a log has only grown"), a.consistency)
	handle(a, get("/audit/entries/{sequence}/proof", "prove-audit-entry", "Prove that a log has an entry"), a.proveEntry)
}

func (a *API) signed() error {
	if a.AuditKey == nil {
		return errs.E(wire.Unavailable, "this server does not sign its audit log")
	}
	return nil
}

func (a *API) auditKey(context.Context, caller, *auditKeyInput) (*reply[AuditKey], error) {
	return &reply[AuditKey]{Body: AuditKey{Key: a.AuditText}}, a.signed()
}

func (a *API) listLogs(ctx context.Context, c caller, in *logsInput) (*reply[List[AuditLogState]], error) {
	if err := a.signed(); err != nil {
		return nil, err
	}
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	known, err := a.Audit.Logs(ctx)
	if err != nil {
		return nil, err
	}
	var found []AuditLogState
	for _, l := range known {
		if after != "" && !isAfter(l, after) || !a.mayAudit(ctx, c, l) {
			continue
		}
		if found = append(found, a.stateOf(ctx, l)); len(found) > in.Limit {
			break
		}
	}
	return &reply[List[AuditLogState]]{Body: pageOf(found, in.Limit, func(s AuditLogState) string { return s.Log },
		func(s AuditLogState) (AuditLogState, bool) { return s, true })}, nil
}

// isAfter reports whether a log comes after the one that a cursor names.
func isAfter(l ledger.Log, cursor string) bool {
	last, err := ledger.ParseLog(cursor)
	return err == nil && l > last
}

func (a *API) mayAudit(ctx context.Context, c caller, l ledger.Log) bool {
	on, err := a.logTarget(ctx, l)
	if err != nil {
		return false
	}
	flag := wire.ProjectAudit
	if on == platform {
		flag = wire.PlatformAudit
	}
	return a.Authorizer.May(ctx, c.by, flag, on)
}

func (a *API) open(ctx context.Context, l ledger.Log) (ledger.Checkpoint, error) {
	if err := a.signed(); err != nil {
		return ledger.Checkpoint{}, err
	}
	text, err := a.Audit.Checkpoint(ctx, l)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	c, err := ledger.Open(text, ledger.Origin(a.AuditKey.Name(), l), a.AuditKey)
	return c, errs.As(wire.Unavailable, err, "the stored checkpoint is not one that this server signed")
}

// stateOf tells how far a log is. One whose checkpoint was tampered with is listed all the same, so that whoever verifies
// it finds that out.
func (a *API) stateOf(ctx context.Context, l ledger.Log) AuditLogState {
	state := AuditLogState{Log: l.String()}
	if l > ledger.Platform {
		state.ProjectKey = wire.Key(l)
	}
	if c, err := a.open(ctx, l); err == nil {
		state.Size, state.Root = c.Size, c.Root.String()
	}
	return state
}

func (a *API) checkpoint(ctx context.Context, _ caller, in *logInput) (*plain, error) {
	text, err := a.Audit.Checkpoint(ctx, in.log)
	return &plain{"text/plain; charset=utf-8", text}, err
}

// tile gives what the newest checkpoint covers and nothing beyond: what is not signed yet is nobody's to read.
func (a *API) tile(ctx context.Context, _ caller, in *tileInput) (*plain, error) {
	level, place, width, err := ledger.ParsePath("tile/" + in.Path)
	if err != nil {
		return nil, errs.E(wire.NotFound, "no such tile")
	}
	c, err := a.open(ctx, in.log)
	if err != nil {
		return nil, err
	}
	if ledger.WidthOf(c.Size, level, place) < width {
		return nil, errs.E(wire.NotFound, "no such tile")
	}
	text, err := a.Audit.Tile(ctx, in.log, level, place, width)
	return &plain{"application/octet-stream", text}, err
}

func (a *API) consistency(ctx context.Context, _ caller, in *consistencyInput) (*reply[AuditConsistency], error) {
	c, err := a.open(ctx, in.log)
	if err != nil {
		return nil, err
	}
	if in.From > c.Size {
		return nil, errs.E(wire.NotFound, "the log has only %d entries", c.Size)
	}
	hashes, err := tlog.ProveTree(c.Size, in.From, ledger.ReaderOf(ctx, c, in.log, a.Audit))
	if err != nil {
		return nil, errs.As(wire.Unavailable, err, "the stored hashes are not those that were signed: the log cannot be proved")
	}
	if hashes == nil {
		hashes = []tlog.Hash{}
	}
	return &reply[AuditConsistency]{Body: AuditConsistency{in.log.String(), in.From, c.Size, hashes, c.Note}}, nil
}

func (a *API) proveEntry(ctx context.Context, _ caller, in *entryInput) (*reply[AuditProof], error) {
	if err := a.signed(); err != nil {
		return nil, err
	}
	placed, err := a.Audit.Placed(ctx, in.Sequence)
	if err != nil {
		return nil, err
	}
	proof, err := ledger.Prove(ctx, placed, a.AuditText, a.AuditKey, a.Audit)
	if err != nil && errs.KindOf(err) == wire.Internal {
		err = errs.As(wire.Unavailable, err, "the entry is not what was signed: it cannot be proved")
	}
	return &reply[AuditProof]{Body: proof}, err
}
