// Package revoke shows on real Prosodys what a revocation does to whoever is inside: who is put out, who stays, and
// what happens when a part of the way is down. docs/revocation.md makes the promises that are tested here.
//
// Two tests also measure. With their default flags they are short and belong to `make test`; `make latency` and
// `make chaos` run them in full.
package revoke
