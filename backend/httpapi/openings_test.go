package httpapi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"bulkhead/backend/httpapi"
	"bulkhead/wire"
)

// download begins to load a table that does not end, and returns when its first bytes have come.
func (s *stage) download(realm string, as change) io.Reader {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute) // what goes on for so long has not been ended
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", s.server.URL+httpapi.Prefix+"/realms/"+realm+"/tables/metrics/export", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	as(r)
	response, err := s.server.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != 200 {
		s.t.Fatalf("the download is refused with %d", response.StatusCode)
	}
	if _, err := io.ReadFull(response.Body, make([]byte, 1000)); err != nil {
		s.t.Fatal(err)
	}
	return response.Body
}

func TestADownloadEndsWhenItIsNotAllowedAnyMore(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, _, in := s.plant("plant-a")
	s.data.rows = 1 << 40
	readers := 0
	for name, end := range map[string]func(who wire.Key, grant string){
		"a grant that is revoked": func(_ wire.Key, grant string) { must[struct{}](s, 204, "DELETE", "/grants/"+grant, nil) },
		"a member who is removed": func(who wire.Key, _ string) {
			must[struct{}](s, 204, "DELETE", "/projects/plant-a/members/"+who.String(), nil)
		},
		"an account that is suspended": func(who wire.Key, _ string) {
			must[struct{}](s, 204, "POST", "/service-accounts/"+who.String()+"/suspend", nil)
			if err := s.live.Refresh(t.Context(), 0); err != nil { // nobody follows the database here
				t.Fatal(err)
			}
		},
	} {
		readers++
		who, as := s.somebody("reader-"+strconv.Itoa(readers), "*")
		s.join("plant-a", who, "")
		grant := must[httpapi.Grant](s, 201, "POST", "/grants", httpapi.GrantCreate{Principal: who.String(), Asset: "data_backend:" + in.Realm, Flags: []wire.Flag{wire.DataBackendExport}})
		body := s.download(in.Realm, as)
		other := s.download(in.Realm, header("Authorization", "Bearer "+s.key))
		end(who, grant.Key.String())
		if n, err := io.Copy(io.Discard, body); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %d bytes came, and then %v", name, n, err)
		}
		if _, err := io.ReadFull(other, make([]byte, 1<<20)); err != nil {
			t.Errorf("%s ends the download of another: %v", name, err)
		}
	}
}
