package.path = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") .. "/?.lua;" .. package.path;

local http = require "support".lib("usher_http");
local parse = http.parse;

describe("an HTTP answer", function ()
	it("is status and body, and leaves the connection", function ()
		local function parse(text) -- luacheck: ignore 431
			local status, at, keep = http.parse(text);
			return status, text:sub(at), keep;
		end
		assert.same({ 200, "{}", true }, { parse("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") });
		assert.same({ 503, "", true }, { parse("HTTP/1.1 503 Service Unavailable\r\ncontent-length:0\r\nRetry-After: 1\r\n\r\n") });
		local usual = "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 2\r\n";
		assert.same({ 200, "{}", true }, { parse(usual .. "\r\n{}") });
		assert.same({ 200, "{}", false }, { parse(usual .. "Connection: close\r\n\r\n{}") });
		assert.same({ 204, "", true }, { parse("HTTP/1.1 204 No Content\r\n\r\n") });
		assert.same({ 200, "{}", false }, { parse("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}") });
	end);

	it("is waited for as long as it is not whole", function ()
		for _, header in ipairs { "Server: x", "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: application/json" } do
			local whole = "HTTP/1.1 200 OK\r\n" .. header .. "\r\nContent-Length: 5\r\n\r\nhello";
			for length = 0, #whole - 1 do assert.is_nil(parse(whole:sub(1, length))); end
			assert.equal(200, (parse(whole)));
			assert.equal(false, (parse(whole .. "x")));
		end
	end);

	it("is refused where it is odd", function ()
		for what, text in pairs {
			["no HTTP"] = "hello\r\n\r\n",
			["HTTP/1.0"] = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
			["HTTP/2"] = "HTTP/2 200\r\nContent-Length: 2\r\n\r\n{}",
			["no length"] = "HTTP/1.1 200 OK\r\n\r\n{}",
			["two lengths"] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
			["a length that is none"] = "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n{}",
			["a length and more"] = "HTTP/1.1 200 OK\r\nContent-Length: 2 3\r\n\r\n{}",
			["a length, and one that is none before it"] = "HTTP/1.1 200 OK\r\nContent-Length: x\r\nContent-Length: 2\r\n\r\n{}",
			["a negative length"] = "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
			["chunks"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			["chunks and a length"] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
			["bytes after the body"] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}{}",
			["a huge body"] = "HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n{",
			["an endless head"] = "HTTP/1.1 200 OK\r\n" .. ("X: y\r\n"):rep(5000),
		} do
			assert.equal(false, (parse(text)), what);
		end
	end);
end);

describe("the verifier's address", function ()
	local asked;
	setup(function ()
		package.loaded["net.connect"] = { connect = function (resolver) asked = resolver; end };
		package.loaded["net.resolvers.basic"] = { new = function (host, port) return host .. " " .. port; end };
		package.loaded["util.timer"] = { add_task = function () return true; end };
	end);

	it("is as it is written", function ()
		for url, at in pairs {
			["http://usher:9160"] = "usher 9160", ["http://[::1]:9160/"] = "::1 9160", ["http://usher"] = "usher 80",
			["http://usher1"] = "usher1 80", ["http://10.0.0.5"] = "10.0.0.5 80", ["http://[fd00::5]"] = "fd00::5 80",
		} do
			http.new({ url }, 2)("/v1/verify", function () end, "", "", "");
			assert.equal(at, asked);
		end
	end);

	it("is named where it is none", function ()
		for is, urls in pairs { empty = {}, ["9160"] = { 9160 }, ["https://usher"] = { "https://usher" }, ["usher:9160"] = { "usher:9160" } } do
			local ok, err = pcall(http.new, urls, 2);
			assert.is_false(ok);
			assert.truthy(err:find("usher_url must be http://host:port, but is " .. is, 1, true), err);
		end
	end);
end);
