package.path = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") .. "/?.lua;" .. package.path;

local support = require "support";
local usher = support.lib("usher");

local function allowed(file)
	return usher.read(200, support.golden("answer")[file]);
end

describe("a session", function ()
	it("carries what Jitsi's plugins read", function ()
		local session, answer = { auth_token = "a.b.c" }, allowed("answer-allow-connect.json");
		usher.apply(session, answer);
		assert.same({
			auth_token = "a.b.c";
			jitsi_meet_room = "daily";
			jitsi_meet_domain = "meet.example.com";
			jitsi_meet_auth_issuer = "my-app";
			jitsi_meet_str_tenant = "acme";
			jitsi_meet_tenant_mismatch = true;
			jitsi_meet_context_user = { id = "u-1", name = 'Ada "A" Lövelace' };
			jitsi_meet_context_group = "staff";
			jitsi_meet_context_room = answer.context.room;
			jitsi_meet_context_features = { recording = true, livestreaming = false };
			usher = { grant = answer.grant, keys = { "k1k1k1k1k1k1", "k2k2k2k2k2k2" }, recheck_at = answer.recheck_at };
		}, session);
	end);

	it("tells no features from none allowed", function ()
		local session = {};
		usher.apply(session, allowed("answer-allow-connect-plain.json"));
		assert.is_nil(session.jitsi_meet_context_features);
		usher.apply(session, usher.read(200, '{"allow":true,"decision_id":"01J","features":{}}'));
		assert.same({}, session.jitsi_meet_context_features);
	end);

	it("has no single room where the token names several", function ()
		local session = {};
		usher.apply(session, usher.read(200, '{"allow":true,"decision_id":"01J","claims":{"room":["a","b"]}}'));
		assert.is_nil(session.jitsi_meet_room);
	end);

	it("keeps nothing of a refused token", function ()
		local session = { auth_token = "a.b.c", username = "u" };
		usher.apply(session, allowed("answer-allow-connect.json"));
		usher.set(session, {});
		assert.same({ username = "u" }, session);
	end);

	it("takes all from the one it is resumed with, and nothing stays behind", function ()
		local old, new = { auth_token = "old" }, { auth_token = "new" };
		usher.apply(old, allowed("answer-allow-connect.json"));
		usher.apply(new, allowed("answer-allow-connect-plain.json"));
		usher.set(old, new);
		assert.same(new, old);
	end);
end);

describe("an identity", function ()
	local function session(token, ...) return { auth_token = token, usher = { keys = { ... } } }; end

	it("is the first key, whatever the token", function ()
		assert.equal(usher.identity(session("a", "user", "a")), usher.identity(session("b", "user", "b")));
		assert.not_equal(usher.identity(session("a", "user", "a")), usher.identity(session("a", "other", "a")));
	end);

	it("is the token where there is no key", function ()
		assert.equal(usher.identity(session("a")), usher.identity(session("a")));
		assert.not_equal(usher.identity(session("a")), usher.identity(session("b")));
	end);

	it("is nobody's for a guest", function ()
		assert.is_nil(usher.identity({}));
		assert.not_equal(usher.identity({}), usher.identity(session("a", "user")));
	end);
end);
