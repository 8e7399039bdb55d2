package.path = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") .. "/?.lua;" .. package.path;

local support = require "support";
local json, usher = support.json, support.lib("usher");

-- A question with the names of the contract, as the shim would put it.
local function encoded(question)
	local session = { jitsi_web_query_prefix = question.tenant, usher_id = question.session, ip = question.remote_ip };
	session.user_agent_header = question.user_agent;
	question.about = usher.about(session, question.host) .. (question.profile and '","profile":"' .. question.profile or "");
	local a, b, c = usher.encode(question);
	question.about = nil;
	return a .. b .. c;
end

describe("a question", function ()
	for name, text in pairs(support.golden("question")) do
		it("is built as in " .. name, function ()
			local wanted = json.decode(text);
			assert.same(wanted, json.decode(encoded(wanted)));
		end);
	end

	it("is built with nothing beside what it must have, and with a flag", function ()
		assert.equal('{"token":"a.b.c","id":"i","stage":"connect"}', encoded { token = "a.b.c", id = "i", stage = "connect" });
		assert.equal('{"id":"i","stage":"join","room_requires_auth":true}', encoded { id = "i", stage = "join", room_requires_auth = true });
		assert.equal('{"token":"a\\"b","id":"i","stage":"connect"}', encoded { token = 'a"b', id = "i", stage = "connect" });
	end);

	it("has its members in the order of the contract", function ()
		local built = encoded { remote_ip = "192.0.2.1", stage = "join", grant = "g", id = "i", host = "h" };
		assert.equal('{"id":"i","grant":"g","stage":"join","host":"h","remote_ip":"192.0.2.1"}', built);
	end);

	it("escapes whatever a header may hold", function ()
		for byte = 0, 255 do
			local built = encoded { id = "i", stage = "connect", user_agent = "a" .. string.char(byte) .. "z" };
			assert.truthy(utf8.len(built), "byte " .. byte .. " makes no valid UTF-8");
			assert.falsy(built:find("[%z\1-\31]"), "byte " .. byte .. " stands there as it is");
			local read = json.decode(built).user_agent;
			assert.equal(byte < 128 and "a" .. string.char(byte) .. "z" or "a\239\191\189z", read);
		end
	end);

	it("keeps valid UTF-8 as it is", function ()
		local built = encoded { id = "i", stage = "join", room = "café@conference.example.com" };
		assert.equal('{"id":"i","stage":"join","room":"café@conference.example.com"}', built);
	end);

	it("leaves out what is empty, and says only that a room requires authentication", function ()
		local built = encoded { id = "i", stage = "join", token = "", tenant = "", room_requires_auth = true };
		assert.equal('{"id":"i","stage":"join","room_requires_auth":true}', built);
		assert.equal('{"id":"i","stage":"join"}', encoded { id = "i", stage = "join", room_requires_auth = false });
	end);
end);

describe("a report", function ()
	for name, text in pairs(support.golden("report")) do
		it("is built as in " .. name, function ()
			local wanted = json.decode(text);
			assert.same(wanted, json.decode(usher.report(wanted.decision_id, wanted.session, wanted.outcome)));
		end);
	end
end);

describe("an answer", function ()
	local answers = support.golden("answer");

	for name, text in pairs(answers) do
		it("is read as in " .. name, function ()
			local wanted = json.decode(text);
			local answer = usher.read(name:find("unavailable") and 503 or 200, text);
			if wanted.need then
				assert.equal("token", answer.need);
			elseif wanted.allow then
				assert.same(wanted, answer);
			else
				assert.falsy(answer.allow);
				assert.equal(wanted.message .. " (" .. wanted.decision_id .. ")", answer.text);
				assert.equal(wanted.allow == nil, answer.unavailable);
				assert.equal(wanted.condition or "service-unavailable", answer.condition);
				assert.equal(wanted.jitsi_code, answer.jitsi_code);
			end
		end);
	end

	-- What has spaces, escapes or fractions in it is read another way than what has not.
	it("is read alike however it is written", function ()
		local plain = '{"allow":true,"decision_id":"01J","context":{"user":{"id":"u-1","name":"Zoë & Co","ages":[1,-20,true,false,[],{}]}}}';
		local read = usher.read(200, plain);
		assert.same({ id = "u-1", name = "Zoë & Co", ages = { 1, -20, true, false, {}, {} } }, read.context.user);
		for _, text in ipairs {
			(plain:gsub('[:,{}%[%]"]', { [":"] = " : ", [","] = " ,\t", ["{"] = "{ ", ["}"] = "\n}" })), (plain:gsub("&", "\\u0026")),
		} do
			assert.are_not.equal(plain, text);
			assert.same(read, usher.read(200, text));
		end
		-- What a token signed is passed on as somebody's library wrote it.
		local user = { id = "u-1", name = "Zoë", moderator = true };
		for mark in ("{}:,"):gmatch(".") do
			for _, spaced in ipairs { mark .. " ", " " .. mark } do
				local context = ('{"user":{"name":"Zoë","id":"u-1","moderator":true},"group":"staff"}'):gsub(mark, spaced);
				assert.same(user, usher.read(200, '{"allow":true,"decision_id":"01J","context":' .. context .. "}").context.user);
			end
		end
		assert.same({ x = 1.5, y = 2e3 }, usher.read(200, '{"allow":true,"decision_id":"01J","context":{"x":1.5,"y":2e3}}').context);
	end);

	local function is_no_verdict(status, text)
		assert.equal(usher.no_verdict, usher.read(status, text), tostring(status) .. " " .. tostring(text));
	end

	it("is no verdict where there is none", function ()
		is_no_verdict(nil, "the connection was lost");
		for _, status in ipairs { 204, 301, 400, 401, 403, 415, 500, 502 } do
			is_no_verdict(status, '{"allow":true,"decision_id":"01J"}');
		end
	end);

	it("is no verdict where it is not JSON as agreed", function ()
		for _, text in ipairs {
			"", "null", "true", "0", "[]", "{}", "nonsense", '"allow"', '{"allow":true', '{"allow":true}', '{"allow":null}',
			'{"allow":1,"decision_id":"01J"}', '{"allow":"true","decision_id":"01J"}', '{"allow":true,"decision_id":""}',
			'{"allow":true,"decision_id":"<x>"}', '{"allow":true,"decision_id":{}}', '{"allow":false,"decision_id":"01J"}',
			'{"allow":false,"decision_id":"01J","message":""}', '{"allow":false,"decision_id":"01J","message":"a\\u0000"}',
			'{"allow":true,"decision_id":"01J","features":"yes"}', '{"allow":true,"decision_id":"01J","grant":5}',
			'{"allow":true,"decision_id":"01J","context":1}', '{"allow":true,"decision_id":"01J","recheck_at":"soon"}',
			'{"need":"water"}', ("["):rep(100000), ('{"a":'):rep(50000), '{"allow":true,"decision_id":"01J"}}',
			'{"allow":true "decision_id":"01J"}', '{"allow":true,"decision_id":01J}', '["allow":true,"decision_id":"01J"]', '{"allow":true,"decision_id"}',
		} do
			is_no_verdict(200, text);
		end
	end);

	it("never allows with 503", function ()
		local answer = usher.read(503, '{"allow":true,"decision_id":"01J","message":"Later."}');
		assert.falsy(answer.allow);
		assert.is_true(answer.unavailable);
		is_no_verdict(503, '{"need":"token"}');
	end);

	it("names no element that XML could not have", function ()
		local answer = usher.read(200, '{"allow":false,"decision_id":"01J","message":"No.","condition":"<x/>","jitsi_code":"a b"}');
		assert.equal("not-allowed", answer.condition);
		assert.is_nil(answer.jitsi_code);
	end);
end);

describe("a line of the feed", function ()
	for name, text in pairs(support.golden("feed")) do
		it("is read as in " .. name, function ()
			assert.same(json.decode(text), usher.decode(text));
		end);
	end

	it("is an empty table where it is none", function ()
		for _, text in ipairs { "", "null", "5", "{", "[}" } do assert.same({}, usher.decode(text)); end
	end);
end);
