package revocation

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/usher-im/usher/internal/room"
)

// A room revocation is kept in one of three forms, so that one hash decides:
//
//	name            every token that names this room, whichever the tenant
//	[tenant]        every token of this tenant
//	[tenant]name    tokens of this tenant that name this room
//
// A claim may name the tenant with the room, which counts where domains are not verified: it is then met as any other
// token of that tenant.
func (m *Marks) addRooms(rooms []string, tenant string) {
	for _, claimed := range rooms {
		m.addRoom(claimed, tenant)
		if claimed == "" || claimed[0] != '[' && claimed[0] < utf8.RuneSelf {
			continue // no folding makes a [ of another ASCII sign
		}
		if own, name, found := splitTenant(room.Folded(claimed)); found && name != "" {
			m.add(kindRoom, roomsOf(own))
			m.addRoom(name, own)
		}
	}
}

func (m *Marks) addRoom(claimed, tenant string) {
	name, ok := roomName(claimed)
	if !ok {
		return
	}
	m.add(kindRoom, keyOf(kindRoom, "", name))
	if tenant != "" {
		m.add(kindRoom, keyOf(kindRoom, "", "[", tenant, "]", name))
	}
}

// roomsOf is the mark of all rooms of a tenant.
func roomsOf(tenant string) Key { return keyOf(kindRoom, "", "[", tenant, "]") }

// tenantOf is a sub as the tenant that it names; "*" names none.
func tenantOf(sub string) string {
	if sub == "*" {
		return ""
	}
	return room.Folded(sub)
}

// roomValue brings what a person wrote into the form that is kept: a name as a token claims it, a [tenant], or a JID,
// of which the domain is dropped. What it gives it also takes, and gives back.
func roomValue(written string) (string, error) {
	value, _, _ := strings.Cut(strings.TrimSpace(written), "@")
	tenant, claimed, found := splitTenant(room.Folded(value))
	if !found {
		claimed = value
	}
	name, ok := roomName(claimed)
	switch {
	case strings.Contains(tenant, "@"): // some other sign that folds to it
	case found && claimed == "":
		return "[" + tenant + "]", nil
	case found && ok:
		return "[" + tenant + "]" + name, nil
	case ok:
		return name, nil
	}
	return "", fmt.Errorf("no room can be named %q: give a name as a token claims it, [tenant], or a room JID", written)
}

func splitTenant(value string) (tenant, name string, found bool) {
	if !strings.HasPrefix(value, "[") {
		return "", "", false
	}
	tenant, name, found = strings.Cut(value[1:], "]")
	return tenant, name, found && tenant != ""
}

// roomName spells a name as rooms are compared. What would be read as something else the next time is escaped: the
// signs of escapes, domains and tenants, white space at its ends, which people put around what they write, and bytes
// that are no text.
func roomName(claimed string) (string, bool) {
	name, ok := room.Name(claimed)
	core := strings.TrimSpace(name)
	if !ok || core == name && strings.IndexFunc(name, misread) < 0 {
		return name, ok
	}
	var b strings.Builder
	begin := strings.Index(name, core)
	for at := 0; at < len(name); {
		r, size := utf8.DecodeRuneInString(name[at:])
		if misread(r) || at < begin || at >= begin+len(core) {
			for _, c := range []byte(name[at : at+size]) {
				fmt.Fprintf(&b, "%%%02x", c)
			}
		} else {
			b.WriteString(name[at : at+size])
		}
		at += size
	}
	return b.String(), true
}

func misread(r rune) bool { return r == '%' || r == '@' || r == '[' || r == utf8.RuneError }
