package httpapi

import (
	"context"
	"net/http"

	"bulkhead/backend/rotation"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// SealingKeys are the keys that seal what is stored, the one in use first, and how far the work is of giving it to all.
type SealingKeys = rotation.Keys

// SealingRotate asks for all that is stored to be given the newest key.
type SealingRotate struct {
	NewKey bool `json:"new_key" doc:"Make a new key first"`
}

type (
	sealingRotateInput struct {
		PlatformPath
		Body SealingRotate
	}
	sealingKeyInput struct {
		PlatformPath
		Key string `path:"key" maxLength:"16" doc:"Id of a key"`
	}
)

func (a *API) registerSealingKeys() {
	handle(a, route{method: http.MethodGet, path: "/keys", id: "list-sealing-keys", tag: "sealing keys", summary: "List the keys that seal what is stored", flag: wire.PlatformSecrets}, a.listSealingKeys)
	handle(a, route{method: http.MethodPost, path: "/keys/rotate", id: "rotate-sealing-keys", tag: "sealing keys", summary: "Give all that is stored the newest key, while the server works", flag: wire.PlatformSecrets, status: http.StatusAccepted}, a.rotateSealingKeys)
	handle(a, route{method: http.MethodDelete, path: "/keys/{key}", id: "drop-sealing-key", tag: "sealing keys", summary: "Take away a key that nothing stored needs", flag: wire.PlatformSecrets}, a.dropSealingKey)
}

func (a *API) rotation() (*rotation.Rotation, error) {
	if a.Rotation == nil {
		return nil, errs.E(wire.Unavailable, "this server does not rotate keys")
	}
	return a.Rotation, nil
}

func (a *API) listSealingKeys(ctx context.Context, _ caller, _ *PlatformPath) (*reply[SealingKeys], error) {
	r, err := a.rotation()
	if err != nil {
		return nil, err
	}
	keys, err := r.List(ctx)
	return &reply[SealingKeys]{Body: keys}, err
}

func (a *API) rotateSealingKeys(ctx context.Context, c caller, in *sealingRotateInput) (*reply[SealingKeys], error) {
	r, err := a.rotation()
	if err == nil {
		err = r.Rotate(ctx, c.actor, in.Body.NewKey)
	}
	if err != nil {
		return nil, err
	}
	keys, err := r.List(ctx)
	return &reply[SealingKeys]{Body: keys}, err
}

func (a *API) dropSealingKey(ctx context.Context, c caller, in *sealingKeyInput) (*nothing, error) {
	r, err := a.rotation()
	if err != nil {
		return nil, err
	}
	return &nothing{}, r.Drop(ctx, c.actor, in.Key)
}
