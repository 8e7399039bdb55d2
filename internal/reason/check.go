package reason

// checks names the check that gives each reason, as explanations do.
var checks = map[Code]string{
	ProfileUnknown: "profile",
	TokenMissing:   "shape", TokenMalformed: "shape", TokenTooLarge: "shape",
	IssuerNotAllowed:    "issuer",
	AlgorithmNotAllowed: "algorithm",
	KeyNotFound:         "key", KeyUnavailable: "key",
	SignatureInvalid: "signature",
	TokenExpired:     "time", TokenNotYetValid: "time", LifetimeTooLong: "time",
	ClaimMissing:       "claims",
	AudienceNotAllowed: "audience",
	SubjectMissing:     "subject", SubjectNotAllowed: "subject",
	TokenRevoked: "revocation", RevocationUnavailable: "revocation",
	TokenReplayed:          "replay",
	AuthenticationRequired: "room", RoomInvalid: "room", RoomDoesNotExist: "room", RoomClaimMissing: "room", RoomMismatch: "room",
	TenantMismatch: "room", RoomPatternInvalid: "room",
	RateLimited: "load", Overloaded: "load",
}

// Check names the check that gives this reason, empty where the code is not known. Load is no check of the token: the
// verifier did not look at it.
func (c Code) Check() string { return checks[c] }
