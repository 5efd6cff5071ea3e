package httpapi_test

import (
	"maps"
	"strings"
)

// alsoBad adds the bad requests of routes that have a file of their own.
func alsoBad(more map[string][]bad) bool {
	maps.Copy(badRequests, more)
	return true
}

var _ = alsoBad(map[string][]bad{
	"login": {
		{"POST", "/login", "", 400, "invalid"}, {"POST", "/login", "{}", 422, "invalid"}, {"POST", "/login", `{"name":"","password":"x"}`, 422, "invalid"},
		{"POST", "/login", `{"name":"nobody","password":"some password"}`, 401, "unauthenticated"}, {"POST", "/login", `{"name":"x","password":"` + strings.Repeat("x", 1025) + `"}`, 422, "invalid"},
		{"POST", "/login", `{"name":"x","password":"y","code":"123456"}`, 422, "invalid"}, {"POST", "/login?password=x", `{"name":"x","password":"y"}`, 400, "credential_in_url"},
	},
	"get-enrolment":           {{"GET", "/login/enrolment?x=1", "", 422, "invalid"}},
	"create-enrolment":        {{"POST", "/login/enrolment", "", 403, "denied"}},
	"confirm-enrolment":       {{"POST", "/login/enrolment/confirm", `{"code":"123456"}`, 403, "denied"}, {"POST", "/login/enrolment/confirm", `{"code":123456}`, 422, "invalid"}},
	"show-second-factor":      {{"POST", "/login/second-factor", `{"code":"123456"}`, 403, "denied"}, {"POST", "/login/second-factor", `{"code":"12345"}`, 422, "invalid"}},
	"list-logins":             {{"GET", "/logins?user=1", "", 422, "invalid"}},
	"end-login":               {{"DELETE", "/logins/aaaaaaaaaaaaaaaa", "", 404, "not_found"}, {"DELETE", "/logins/%00", "", 404, "not_found"}},
	"list-users":              {{"GET", "/users?limit=0", "", 422, "invalid"}, {"GET", "/users?cursor=MTp4", "", 422, "invalid"}},
	"create-user":             {{"POST", "/users", `{"login":"A","password":"correct horse battery"}`, 422, "invalid"}, {"POST", "/users", `{"login":"alice","password":"short"}`, 422, "invalid"}, {"POST", "/users", `{"login":"alice","password":"alice has a horse"}`, 422, "invalid"}, {"POST", "/users", `{"login":"alice","name":" x","password":"correct horse battery"}`, 422, "invalid"}, {"POST", "/users", `{"login":"alice","email":"a b","password":"correct horse battery"}`, 422, "invalid"}},
	"get-user":                {{"GET", "/users/nobody", "", 404, "not_found"}, {"GET", "/users/%00", "", 422, "invalid"}},
	"suspend-user":            {{"POST", "/users/nobody/suspend", "", 404, "not_found"}},
	"resume-user":             {{"POST", "/users/nobody/resume", "", 404, "not_found"}},
	"reset-factor":            {{"POST", "/users/nobody/reset-factor", "", 404, "not_found"}},
	"set-owner":               {{"POST", "/users/nobody/owner", `{"owner":true}`, 404, "not_found"}, {"POST", "/users/nobody/owner", `{}`, 422, "invalid"}},
	"set-password":            {{"POST", "/users/nobody/password", `{"password":"correct horse battery"}`, 404, "not_found"}},
	"set-own-password":        {{"POST", "/password", `{"password":"correct horse battery"}`, 403, "denied"}, {"POST", "/password", `{"password":"short"}`, 422, "invalid"}},
	"list-service-accounts":   {{"GET", "/service-accounts?limit=201", "", 422, "invalid"}},
	"create-service-account":  {{"POST", "/service-accounts", `{"name":""}`, 422, "invalid"}, {"POST", "/service-accounts", `{"name":"x","project":"nowhere"}`, 404, "not_found"}, {"POST", "/service-accounts", `{"name":"a\u0007b"}`, 422, "invalid"}},
	"get-service-account":     {{"GET", "/service-accounts/nobody", "", 404, "not_found"}},
	"suspend-service-account": {{"POST", "/service-accounts/nobody/suspend", "", 404, "not_found"}, {"POST", "/service-accounts/bootstrap%20owner/suspend", "", 409, "conflict"}},
	"resume-service-account":  {{"POST", "/service-accounts/nobody/resume", "", 404, "not_found"}},
	"delete-service-account":  {{"DELETE", "/service-accounts/nobody", "", 404, "not_found"}, {"DELETE", "/service-accounts/bootstrap%20owner", "", 409, "conflict"}},
})

// What is about the caller's own logins and keys, which everybody may see to.
var _ = func() bool {
	for _, id := range []string{
		"login", "get-enrolment", "create-enrolment", "confirm-enrolment", "show-second-factor", "list-logins", "end-login", "set-own-password",
		"list-apikeys", "create-apikey", "revoke-apikey",
	} {
		elsewhere[id] = true
	}
	maps.Copy(exampleBody, map[string]string{
		"create-user": `{"login":"somebody","password":"correct horse battery"}`, "set-owner": `{"owner":false}`, "set-password": `{"password":"correct horse battery"}`,
		"create-service-account": `{"name":"x"}`,
	})
	return true
}()
