package token

// claims reads the payload's members that usher knows.
func (s *scanner) claims(t *Token) {
	if s.fault != "" {
		return
	}
	c := &t.Claims
	for o := s.object(); s.next(&o); {
		switch o.name {
		case "iss":
			c.Issuer = s.wantString("iss")
		case "sub":
			c.Subject = s.wantString("sub")
		case "aud":
			c.Audience, _ = s.wantStrings("aud", &t.audience)
		case "jti":
			c.JTI = s.wantString("jti")
		case "room":
			c.HasRoom = true
			c.Room, c.RoomIsArray = s.wantStrings("room", &t.room)
		case "iat":
			c.IssuedAt = s.wantNumber("iat")
		case "nbf":
			c.NotBefore = s.wantNumber("nbf")
		case "exp":
			c.Expires = s.wantNumber("exp")
		case "user_id":
			c.TopUserID = s.orID("user_id")
		case "context":
			s.context(&c.Context)
		default:
			s.skip()
		}
	}
}

func (s *scanner) context(c *Context) {
	if !s.enter("context") {
		return
	}
	c.Present = true
	start := s.pos
	for o := s.object(); s.next(&o); {
		from := s.pos
		switch o.name {
		case "user":
			s.user(c)
			c.User = s.since(from)
		case "group":
			if _, set := s.orString("context.group"); set {
				c.Group = s.since(from)
			}
		case "tenant":
			c.Tenant, c.HasTenant = s.orString("context.tenant")
		case "room":
			s.room(c)
			c.Room = s.since(from)
		case "features":
			// Absent means Jitsi's defaults and {} means nothing at all, so a null, which may mean either, is refused.
			if s.enter("context.features") {
				s.skip()
				c.Features = s.since(from)
			}
		default:
			s.skip()
		}
	}
	c.Raw = s.since(start)
}

func (s *scanner) user(c *Context) {
	if !s.enter("context.user") {
		return
	}
	for o := s.object(); s.next(&o); {
		switch o.name {
		case "id":
			c.UserID = s.orID("context.user.id")
		case "name":
			c.UserName, _ = s.orString("context.user.name")
		case "email":
			c.UserEmail, _ = s.orString("context.user.email")
		case "affiliation":
			c.UserAffiliation, _ = s.orString("context.user.affiliation")
		case "moderator":
			c.Moderator = s.grant()
		case "security_bypass":
			s.bypass(c)
		default:
			s.skip()
		}
	}
}

func (s *scanner) bypass(c *Context) {
	c.HasSecurityBypass = c.HasSecurityBypass || s.peek() != 'n' // null says nothing
	c.SecurityBypass = s.grant() || c.SecurityBypass
}

func (s *scanner) room(c *Context) {
	if !s.enter("context.room") {
		return
	}
	for o := s.object(); s.next(&o); {
		switch o.name {
		case "regex":
			flag := s.orBool("context.room.regex")
			c.RoomRegex = flag != nil && *flag
		case "lobby":
			c.Lobby = s.orBool("context.room.lobby")
		case "password":
			if password, set := s.orString("context.room.password"); set {
				c.Password = &password
			}
		case "security_bypass":
			s.bypass(c)
		default:
			s.skip()
		}
	}
}
