package server_test

import (
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/usher-im/usher/internal/credential"
	"github.com/usher-im/usher/internal/server"
)

// document is the OpenAPI document, and what finds a request in it.
var document = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	doc.Servers = nil
	openapi3filter.RegisterBodyDecoder("application/problem+json", openapi3filter.JSONBodyDecoder)
	return gorillamux.NewRouter(doc)
})

// holdToDocument compares an answer with what the document promises. Paths that are not ours answer 404 and are in no
// document.
func holdToDocument(t *testing.T, req *http.Request, r reply) {
	t.Helper()
	router, err := document()
	must(t, err)
	route, params, err := router.FindRoute(req)
	if err != nil || !strings.Contains(r.header.Get("Content-Type"), "json") || strings.Contains(r.header.Get("Content-Type"), "ndjson") {
		return
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 r.status, Header: r.header,
	}
	in.SetBodyBytes([]byte(r.raw))
	if err := openapi3filter.ValidateResponse(t.Context(), in); err != nil {
		t.Errorf("%s %s answers what openapi.yaml does not say: %v", req.Method, req.URL.Path, err)
	}
}

func TestOpenAPI_TheDocumentIsValidAndServed(t *testing.T) {
	n := start(t, base)
	secret, err := n.who.Create("reader", credential.Audit, time.Now())
	must(t, err)
	r := n.do("GET", n.server.AdminAddress(), "/v1/openapi.json", "", header("Authorization", "Bearer "+secret))
	doc, err := openapi3.NewLoader().LoadFromData([]byte(r.raw))
	must(t, err)
	must(t, doc.Validate(t.Context()))
}

// parameter is one of a route's path, which OpenAPI writes as {id}, not :id.
var parameter = regexp.MustCompile(`:(\w+)`)

func TestOpenAPI_EveryRouteIsInTheDocumentAndTheOtherWayRound(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	must(t, err)
	said := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			said[method+" "+path] = true
		}
	}
	served := map[string]bool{"GET /v1/keys": true} // wired in cmd/usher
	for _, r := range append(start(t, base).server.Routes(), (&server.Archive{}).Routes()...) {
		served[r.Method+" "+parameter.ReplaceAllString(r.Path, "{$1}")] = true
	}
	for route := range served {
		if !said[route] {
			t.Errorf("%s is served, but not in openapi.yaml", route)
		}
	}
	for route := range said {
		if !served[route] {
			t.Errorf("%s is in openapi.yaml, but not served", route)
		}
	}
}
