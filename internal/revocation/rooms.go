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
		name := prepareRoom(claimed)
		if name == "" {
			continue
		}
		m.add(kindRoom, keyOf(kindRoom, "", name))
		if tenant != "" {
			m.add(kindRoom, keyOf(kindRoom, "", "[", tenant, "]", name))
		}
	}
}

// roomValue brings what a person wrote into the form that is kept: a name as a token claims it, a [tenant], or a JID,
// of which the domain is dropped.
func roomValue(written string) (string, error) {
	value, _, _ := strings.Cut(strings.TrimSpace(written), "@")
	tenant, name, found := splitTenant(value)
	if !found {
		name = value
	}
	name = prepareRoom(name)
	if found {
		return "[" + strings.ToLower(tenant) + "]" + name, nil
	}
	if name == "" {
		return "", fmt.Errorf("the room %q is empty: give a name as a token claims it, [tenant], or a room JID", written)
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

// prepareRoom spells a name as rooms are compared. What can be no room's name stands for itself: it is signed, and may
// be a pattern.
func prepareRoom(claimed string) string {
	if name, ok := room.Name(claimed); ok {
		return name
	}
	return claimed
}
