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
