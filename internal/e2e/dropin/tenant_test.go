package dropin_test

import (
	"net/url"
	"testing"

	"github.com/usher-im/usher/internal/e2e"
)

// With mod_muc_domain_mapper the rooms of all tenants are on one MUC, whose name these two options make.
func TestDropIn_TheRoomsOfTenantsAreFoundByJitsisMapperOptions(t *testing.T) {
	setup := e2e.Setup{
		Profiles: `  default:
    domain: example.com
    muc_prefix: rooms
    rooms: {create: allow}
    issuers: [{iss: my-app, keys: [{secret: "` + e2e.Secret + `"}], audiences: [jitsi], subjects: [example.com, acme]}]
`,
		Host: `muc_mapper_domain_base = "example.com"; muc_mapper_domain_prefix = "rooms"`,
		Hosts: `Component "rooms.example.com" "muc"
			modules_enabled = { "muc_usher" }
			muc_room_locking = false`,
	}
	each(t, setup, func(t *testing.T, s *e2e.Stack) {
		for _, c := range []struct {
			sub, prefix, asked string
			open, shut         []string
		}{
			{"acme", "acme", "[acme]daily@rooms.example.com",
				[]string{"[acme]daily@rooms.example.com"}, []string{"daily@rooms.example.com", "[globex]daily@rooms.example.com"}},
			{"example.com", "", "daily@rooms.example.com",
				[]string{"daily@rooms.example.com"}, []string{"[acme]daily@rooms.example.com"}},
		} {
			before := len(s.Gate.Questions())
			v := s.Login(t, e2e.Who{
				Token: e2e.Token(t, e2e.Claims{"sub": c.sub, "room": "daily"}),
				Query: url.Values{"room": {"daily"}, "prefix": {c.prefix}},
			})
			if q := s.Gate.Questions()[before]; q.Room != c.asked {
				t.Errorf("the login names the room %q, want %q", q.Room, c.asked)
			}
			for _, room := range c.open {
				v.MustJoin(room, c.sub)
			}
			for _, room := range c.shut {
				v.MustBeRefused(room, c.sub)
			}
		}
	})
}

// Upstream finds the host whose options count by a pattern that stops at a hyphen, and then does not start.
func TestDropIn_AHyphenInTheMUCsNameIsNothingSpecial(t *testing.T) {
	setup := e2e.Setup{
		Profiles: `  default:
    domain: meet.example.com
    muc_prefix: video-rooms-2
    rooms: {create: allow}
    issuers: [{iss: my-app, keys: [{secret: "` + e2e.Secret + `"}], audiences: [jitsi]}]
`,
		Hosts: `Component "video-rooms-2.meet.example.com" "muc"
			modules_enabled = { "muc_usher" }
			muc_room_locking = false`,
	}
	each(t, setup, func(t *testing.T, s *e2e.Stack) {
		v := s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"room": "daily"})})
		v.MustJoin("daily@video-rooms-2.meet.example.com", "alice")
		v.MustBeRefused("weekly@video-rooms-2.meet.example.com", "alice")
	})
}
