package.path = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") .. "/?.lua;" .. package.path;

local support = require "support";
local json, usher = support.json, support.lib("usher");

-- A question with the names of the contract, as the shim would put it.
local function encoded(question, careful)
	local session = { jitsi_web_query_prefix = question.tenant, usher_id = question.session, ip = question.remote_ip };
	session.user_agent_header = question.user_agent;
	local about = usher.about(session, question.host) .. (question.profile and '","profile":"' .. question.profile or "");
	return table.concat { usher.encode(question, question.id, about, question.grant, question.token, careful) };
end

describe("a question", function ()
	for name, text in pairs(support.golden("question")) do
		it("is built as in " .. name, function ()
			local wanted = json.decode(text);
			assert.same(wanted, json.decode(encoded(wanted)));
		end);
	end

	local ours = ',"host":"h","session":"s"'; -- what stands in each
	local function plain(question, careful)
		question.id, question.host, question.session = "i", "h", "s";
		return encoded(question, careful);
	end

	it("is built with nothing beside what it must have, and with a flag", function ()
		assert.equal('{"token":"a.b.c","id":"i","stage":"connect"' .. ours .. '}', plain { token = "a.b.c", stage = "connect" });
		assert.equal('{"id":"i","stage":"join"' .. ours .. ',"room_requires_auth":true}', plain { stage = "join", room_requires_auth = true });
	end);

	-- To look at each byte of a token costs, so the verifier is the first to do it.
	it("lets no token say more than a token, and has each read where it is put with care", function ()
		for byte = 0, 255 do
			local token = "a" .. string.char(byte) .. "z";
			local careful = plain({ token = token, stage = "connect" }, true);
			assert.equal(byte < 128 and token or "a\239\191\189z", json.decode(careful).token);
			assert.falsy(careful:find("[%z\1-\31]"), "byte " .. byte .. " stands there as it is");
			local quick = plain { token = token, stage = "connect" };
			assert.equal(byte < 32 or byte > 127, quick ~= careful);
			local quotes = select(2, quick:gsub('\\.', ""):gsub('"', ""));
			assert.equal(20, quotes);
		end
	end);

	it("is asked once more with care where the verifier cannot read it, if its token can be why", function ()
		local asked;
		local function option(_, _, default) return default; end
		_G.module = { get_option_string = option, get_option_array = option, get_option_number = option, log = function () end };
		package.loaded["util.async"] = { waiter = function () return function () end, function () end; end };
		local ask = usher.asker { new = function ()
			return function (_, _, ...) asked[#asked + 1] = table.concat { ... }; return { 400, "{}" }; end;
		end };
		for token, times in pairs { ["a.b.c"] = 1, ["a.é.c"] = 1, ["a\n.b.c"] = 2, ["a.\255.c"] = 2 } do
			asked = {};
			assert.equal(usher.no_verdict, ask({ auth_token = token }, { stage = "connect", host = "h" }));
			assert.equal(times, #asked);
		end
	end);

	it("has its members in the order of the contract", function ()
		local built = plain { remote_ip = "192.0.2.1", stage = "join", grant = "g" };
		assert.equal('{"id":"i","grant":"g","stage":"join"' .. ours .. ',"remote_ip":"192.0.2.1"}', built);
	end);

	it("escapes whatever a header may hold", function ()
		for byte = 0, 255 do
			local built = plain { stage = "connect", user_agent = "a" .. string.char(byte) .. "z" };
			assert.truthy(utf8.len(built), "byte " .. byte .. " makes no valid UTF-8");
			assert.falsy(built:find("[%z\1-\31]"), "byte " .. byte .. " stands there as it is");
			local read = json.decode(built).user_agent;
			assert.equal(byte < 128 and "a" .. string.char(byte) .. "z" or "a\239\191\189z", read);
		end
	end);

	it("keeps valid UTF-8 as it is", function ()
		local built = plain { stage = "join", room = "café@conference.example.com" };
		assert.equal('{"id":"i","stage":"join"' .. ours .. ',"room":"café@conference.example.com"}', built);
	end);

	it("leaves out what is empty, and says only that a room requires authentication", function ()
		assert.equal('{"id":"i","stage":"join"' .. ours .. ',"room_requires_auth":true}', plain { stage = "join", tenant = "", room_requires_auth = true });
		assert.equal('{"id":"i","stage":"join"' .. ours .. '}', plain { stage = "join", room_requires_auth = false });
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

	for name, text in pairs(support.golden("answer", "lines")) do
		it("is read as in " .. name, function ()
			local wanted = json.decode(answers[name:gsub("lines$", "json")]);
			wanted.decision_id = nil;
			assert.same(wanted, usher.read(200, "HTTP" .. text, 5));
		end);
	end

	it("may hold any text in lines", function ()
		for byte = 0, 255 do
			local name = string.char(byte);
			if name ~= "\n" then assert.same({ allow = true, [name] = name }, usher.read(200, "{2\nallow\nt\n" .. name .. '\n"' .. name .. "\n")); end
		end
		assert.same({ allow = true, a = { {}, {}, -1.5, { [""] = false } } }, usher.read(200, "{2\nallow\nt\na\n[4\n{0\n[0\n-1.5\n{1\n\nf\n"));
	end);

	it("may be JSON in any spelling", function ()
		local spaced = '{ "allow" : true,\n"decision_id":"01J" ,"context":{"user":{"name":"Zo\\u00eb","age":1.5e1,"moderator":true},"tenant":""}}';
		local user = { name = "Zoë", age = 15, moderator = true };
		assert.same({ allow = true, decision_id = "01J", context = { user = user, tenant = "" } }, usher.read(200, spaced));
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

	it("is no verdict where lines are not as agreed", function ()
		for _, text in ipairs {
			"{1", "{1\n", "{1\nallow\n", "{1\nallow\nt", "{1\nallow\nf\n", "{1\nallow\n1\n", '{1\nallow\n"t\n', "{2\nallow\nt\n", "{1\nallow\nt\n\n", "{0\n",
			"{1\nallow\nt\nmore\nt\n", "{99999999\nallow\nt\n", "{1e9\n", "{1\nallow\ntrue\n",
			"{1e0\n", "{2\nallow\nt\na\nx0\n", "{1x\nallow\nt\n", "{2\nallow\nt\na\nx\n", "{2\nallow\nt\na\n{-1\n", "{2\nallow\nt\na\n[\n",
			"{2\nallow\nt\na\n" .. ("[1\n"):rep(60000), "{1\nneed\n\"token\n",
		} do
			is_no_verdict(200, text);
		end
		is_no_verdict(503, "{1\nallow\nt\n");
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
