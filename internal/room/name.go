package room

// Name prepares a room name as a token claims it, with or without percent-encoding and in any case, so that two
// spellings of one room have one name. Not ok: no room can have this name.
func Name(claim string) (prepared string, ok bool) {
	folded, ok := decodedProfile.prepare(claim)
	if !ok || folded == "" {
		return "", false
	}
	return decoded(folded), true
}

// Folded spells what a token or a person wrote as tenants and names are compared, its percent-encoding left as it is. What
// XMPP does not allow is lowered, so that it equals nothing but itself.
func Folded(written string) string { return folded(decodedProfile.prepare, written) }
