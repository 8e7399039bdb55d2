// Package revocation knows what is no longer trusted.
//
// A Revocation names a token, jti, user, key, issuer or room. It lives in a Store (Redis for a fleet, SQLite for one
// node); a Ledger follows the store and keeps an Index in memory, so that a decision asks memory and not the network.
// The Ledger also knows how old its index is, and asks the store itself where that is too old. What has just been
// revoked goes out through the Feed, as opaque keys, to whoever holds live sessions.
package revocation
