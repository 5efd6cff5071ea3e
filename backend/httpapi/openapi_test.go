package httpapi_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"bulkhead/backend/httpapi"
)

// operation is one of the OpenAPI document, as far as the tests look at it.
type operation struct {
	id, method, path string
	Security         []map[string][]string `json:"security"`
	Privilege        string                `json:"x-bulkhead-privilege"`
	OperationID      string                `json:"operationId"`
	Summary          string                `json:"summary"`
	Responses        map[string]struct {
		Content map[string]struct {
			Schema struct {
				Ref string `json:"$ref"`
			} `json:"schema"`
		} `json:"content"`
	} `json:"responses"`
	Parameters []struct {
		Name string `json:"name"`
		In   string `json:"in"`
	} `json:"parameters"`
}

type document struct {
	OpenAPI    string                                `json:"openapi"`
	Servers    []struct{ URL string }                `json:"servers"`
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		SecuritySchemes map[string]struct {
			Type   string `json:"type"`
			Scheme string `json:"scheme"`
		} `json:"securitySchemes"`
		Schemas map[string]struct {
			AdditionalProperties any            `json:"additionalProperties"`
			Properties           map[string]any `json:"properties"`
		} `json:"schemas"`
	} `json:"components"`
}

func readDocument(t testing.TB, s *stage) document {
	t.Helper()
	a := s.do("GET", httpapi.Prefix+"/openapi.json", nil, func(r *http.Request) { r.Header.Del("Authorization") })
	var d document
	if err := json.Unmarshal(a.body, &d); err != nil || a.status != 200 || a.header.Get("Content-Type") != "application/openapi+json" {
		t.Fatalf("%d %v", a.status, err)
	}
	return d
}

// operations lists all of the API, from its own description.
func operations(t testing.TB, s *stage) []operation {
	t.Helper()
	var list []operation
	for path, methods := range readDocument(t, s).Paths {
		for method, raw := range methods {
			var op operation
			if err := json.Unmarshal(raw, &op); err != nil {
				t.Fatal(err)
			}
			op.id, op.method, op.path = op.OperationID, strings.ToUpper(method), path
			list = append(list, op)
		}
	}
	slices.SortFunc(list, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return list
}

func TestTheDescriptionIsOpenAPI31WithAKeyForEachOperation(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d := readDocument(t, s)
	if !strings.HasPrefix(d.OpenAPI, "3.1.") || len(d.Servers) != 1 || d.Servers[0].URL != httpapi.Prefix || d.Components.SecuritySchemes["apiKey"].Scheme != "bearer" {
		t.Errorf("%s %+v %+v", d.OpenAPI, d.Servers, d.Components.SecuritySchemes)
	}
	ops := operations(t, s)
	if len(ops) < 35 {
		t.Errorf("only %d operations", len(ops))
	}
	for _, op := range ops {
		if op.id == "login" {
			continue // it asks for nothing
		}
		if len(op.Security) != 1 || op.Security[0]["apiKey"] == nil || op.Summary == "" {
			t.Errorf("%s: security %v, summary %q", op.id, op.Security, op.Summary)
		}
		kind, flag, ok := strings.Cut(op.Privilege, ".")
		if !ok || kind == "" || flag == "" {
			t.Errorf("%s asks for the privilege %q", op.id, op.Privilege)
		}
		checkResponses(t, op)
	}
}

func checkResponses(t *testing.T, op operation) {
	t.Helper()
	success := 0
	for status, response := range op.Responses {
		if status[0] == '2' {
			success++
			continue
		}
		if response.Content["application/problem+json"].Schema.Ref != "#/components/schemas/Problem" {
			t.Errorf("%s: %s is no problem document", op.id, status)
		}
	}
	if success != 1 {
		t.Errorf("%s has %d kinds of success", op.id, success)
	}
	for _, status := range []string{"401", "403", "404", "422", "500", "503"} {
		if _, ok := op.Responses[status]; !ok && !(status == "422" && op.method == "POST") {
			if status == "422" && !strings.Contains(op.path, "{") {
				continue // nothing to be wrong with
			}
			t.Errorf("%s does not tell of status %s", op.id, status)
		}
	}
	idempotent := slices.ContainsFunc(op.Parameters, func(p struct {
		Name string `json:"name"`
		In   string `json:"in"`
	}) bool {
		return p.Name == "Idempotency-Key" && p.In == "header"
	})
	if idempotent != (op.method == "POST") {
		t.Errorf("%s takes an Idempotency-Key: %t", op.id, idempotent)
	}
}

func TestEveryBodyRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, schema := range readDocument(t, newStage(t)).Components.Schemas {
		if schema.Properties != nil && schema.AdditionalProperties != false {
			t.Errorf("%s lets in %v", name, schema.AdditionalProperties)
		}
		if _, ok := schema.Properties["$schema"]; ok {
			t.Errorf("%s has a member $schema", name)
		}
	}
}
