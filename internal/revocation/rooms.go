package revocation

import (
	"fmt"
	"strings"

	"github.com/usher-im/usher/internal/room"
)

// A room revocation is kept in one of three forms, so that one hash decides:
//
//	name            every token that names this room, whichever the tenant
//	[tenant]        every token of this tenant
//	[tenant]name    tokens of this tenant that name this room
func (m *Marks) addRooms(rooms []string, tenant string) {
	tenant = strings.ToLower(tenant)
	if tenant == "*" {
		tenant = "" // any tenant: it names none
	}
	if tenant != "" {
		m.add(kindRoom, keyOf(kindRoom, "", "[", tenant, "]"))
	}
	for _, claimed := range rooms {
		name, ok := roomName(claimed)
		if !ok {
			continue
		}
		m.add(kindRoom, keyOf(kindRoom, "", name))
		if tenant != "" {
			m.add(kindRoom, keyOf(kindRoom, "", "[", tenant, "]", name))
		}
	}
}

// roomValue brings what a person wrote into the form that is kept: a name as a token claims it, a [tenant], or a JID,
// of which the domain is dropped. What it gives it also takes, and gives back.
func roomValue(written string) (string, error) {
	value, _, _ := strings.Cut(strings.TrimSpace(written), "@")
	tenant, claimed, found := splitTenant(value)
	if found && claimed == "" {
		return "[" + strings.ToLower(tenant) + "]", nil
	}
	if !found {
		claimed = value
	}
	name, ok := roomName(claimed)
	switch {
	case !ok:
		return "", fmt.Errorf("no room can be named %q: give a name as a token claims it, [tenant], or a room JID", written)
	case found:
		return "[" + strings.ToLower(tenant) + "]" + name, nil
	}
	return name, nil
}

func splitTenant(value string) (tenant, name string, found bool) {
	if !strings.HasPrefix(value, "[") {
		return "", "", false
	}
	tenant, name, found = strings.Cut(value[1:], "]")
	return tenant, name, found && tenant != ""
}

// escaped keeps apart what would be read as something else the next time.
var escaped = strings.NewReplacer("%", "%25", "@", "%40")

// roomName spells a name as rooms are compared.
func roomName(claimed string) (string, bool) {
	name, ok := room.Name(claimed)
	if ok && strings.ContainsAny(name, "%@") {
		name = escaped.Replace(name)
	}
	return name, ok
}
