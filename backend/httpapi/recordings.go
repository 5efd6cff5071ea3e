package httpapi

import (
	"context"
	"encoding/base64"
	"net/http"
	"time"

	"bulkhead/backend/recording"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Recording is what a device recorded of one shell.
type Recording struct {
	ID         string    `json:"id"`
	Tunnel     string    `json:"tunnel"`
	Session    int       `json:"session" doc:"Of the tunnel's shells, from 1"`
	ProjectKey wire.Key  `json:"project_key"`
	DeviceKey  wire.Key  `json:"device_key"`
	Device     string    `json:"device" doc:"Name of the device when the tunnel was asked for"`
	ByKind     string    `json:"by_kind"`
	ByID       string    `json:"by_id"`
	ByName     string    `json:"by_name,omitempty"`
	State      string    `json:"state" enum:"open,complete,cut"`
	Ended      string    `json:"ended,omitempty" doc:"Why it is cut"`
	Signer     string    `json:"signer" doc:"SHA-256 of the public key with which the device signs it, in base64"`
	Hash       string    `json:"hash" doc:"Of its last chunk, as the audit log has it, in base64"`
	Chunks     int64     `json:"chunks"`
	Bytes      int64     `json:"bytes"`
	BeganAt    time.Time `json:"began_at"`
	LastAt     time.Time `json:"last_at" doc:"When its newest chunk was kept"`
}

// RecordingUnseal asks for the key of one recording.
type RecordingUnseal struct {
	Purpose string `json:"purpose" enum:"play,export" doc:"For the record"`
}

// RecordingKey opens the chunks of one recording.
type RecordingKey struct {
	Recording Recording `json:"recording"`
	Key       string    `json:"key" doc:"In base64"`
}

// RecordingChunks are the next chunks of a recording, sealed and signed as the device made them; none: there are no more.
type RecordingChunks struct {
	Chunks []wire.RecordingChunk `json:"chunks"`
}

// RecordingPath names a recording in a path.
type RecordingPath struct {
	Recording string `path:"recording" maxLength:"70" doc:"Id of a recording"`
	found     recording.Recording
}

func (p *RecordingPath) target(ctx context.Context, a *API) (_ Target, err error) {
	p.found, err = a.Recordings.Find(ctx, p.Recording)
	return recordingTarget(p.found), err
}

func recordingTarget(r recording.Recording) Target {
	return Target{Kind: "device", Project: r.Project, Key: r.Device}
}

type (
	recordingListInput struct {
		ProjectPath
		Device string `query:"device" maxLength:"64" doc:"Name, serial or key of a device of the project; absent: all"`
	}
	recordingUnsealInput struct {
		RecordingPath
		Body RecordingUnseal
	}
	recordingChunksInput struct {
		RecordingPath
		From int64 `query:"from" minimum:"0" doc:"Sequence of the first"`
	}
)

func (a *API) registerRecordings() {
	const one = "/recordings/{recording}"
	handle(a, route{method: http.MethodGet, path: "/projects/{project}/recordings", id: "list-recordings", tag: "recordings", summary: "List the newest recordings of a project's shells", flag: wire.ProjectRead}, a.listRecordings)
	handle(a, route{method: http.MethodGet, path: one, id: "get-recording", tag: "recordings", summary: "Show what is known of a recording", flag: wire.DeviceRead}, a.getRecording)
	handle(a, route{method: http.MethodPost, path: one + "/unseal", id: "unseal-recording", tag: "recordings", summary: "Get the key of a recording, to play or export it", flag: wire.DeviceRecording}, a.unsealRecording)
	handle(a, route{method: http.MethodGet, path: one + "/chunks", id: "list-recording-chunks", tag: "recordings", summary: "Get chunks of a recording, sealed as the device made them", flag: wire.DeviceRecording}, a.listRecordingChunks)
}

func (a *API) listRecordings(ctx context.Context, c caller, in *recordingListInput) (*reply[List[Recording]], error) {
	const most = 500
	q := recording.Query{Project: in.ProjectPath.found.Key, Limit: most}
	if in.Device != "" {
		d, err := a.Assets.FindDeviceOf(ctx, q.Project, in.Device)
		if err == nil && !a.Authorizer.May(ctx, c.by, wire.DeviceRead, deviceTarget(d)) {
			err = errs.E(wire.NotFound, "no such device")
		}
		if err != nil {
			return nil, err
		}
		q.Device = d.Key
	}
	found, err := a.Recordings.List(ctx, q)
	list := List[Recording]{Items: []Recording{}}
	for _, r := range found {
		if a.Authorizer.May(ctx, c.by, wire.DeviceRead, recordingTarget(r)) {
			list.Items = append(list.Items, recordingOf(r))
		}
	}
	return &reply[List[Recording]]{Body: list}, err
}

func (a *API) getRecording(_ context.Context, _ caller, in *RecordingPath) (*reply[Recording], error) {
	return &reply[Recording]{Body: recordingOf(in.found)}, nil
}

func (a *API) unsealRecording(ctx context.Context, c caller, in *recordingUnsealInput) (*reply[RecordingKey], error) {
	key, err := a.Recordings.Unseal(ctx, c.actor, in.found, in.Body.Purpose)
	if err != nil {
		return nil, err
	}
	return &reply[RecordingKey]{Body: RecordingKey{recordingOf(in.found), base64.StdEncoding.EncodeToString(key.Reveal())}}, nil
}

func (a *API) listRecordingChunks(ctx context.Context, _ caller, in *recordingChunksInput) (*reply[RecordingChunks], error) {
	chunks, err := a.Recordings.Chunks(ctx, in.found, in.From)
	if chunks == nil {
		chunks = []wire.RecordingChunk{}
	}
	return &reply[RecordingChunks]{Body: RecordingChunks{chunks}}, err
}

func recordingOf(r recording.Recording) Recording {
	return Recording{
		ID: r.ID(), Tunnel: r.Tunnel, Session: r.Session, ProjectKey: r.Project, DeviceKey: r.Device, Device: r.DeviceName,
		ByKind: string(r.By.Kind), ByID: r.By.ID, ByName: r.By.Name, State: string(r.State), Ended: r.Ended,
		Signer: wire.Fingerprint(r.Signer), Hash: base64.StdEncoding.EncodeToString(r.Hash), Chunks: r.Chunks, Bytes: r.Bytes, BeganAt: r.Began, LastAt: r.Last,
	}
}
