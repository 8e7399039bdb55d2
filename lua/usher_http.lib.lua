-- A lean HTTP/1.1 client: what the shim needs to ask one question, and nothing else.
--
-- net.http costs four times as much for one question, has no deadline of its own, and keeps no connection on 0.12
-- (one on 13). Here up to 32 connections an endpoint are kept, each with one request in flight; further requests wait
-- in a bounded queue; one timer sweeps the deadlines. Whatever is odd in an answer drops its connection.

local max_connections, max_waiting, max_head, max_body = 32, 4096, 16 * 1024, 256 * 1024;

-- Reads an answer out of what has arrived: nil while it is not complete, false where it is not one that we take,
-- else its status, where its body begins, and whether the connection may be kept.
local function parse(buffer)
	-- As the verifier nearly always begins: nothing is copied.
	local promised, at = buffer:match("^HTTP/1%.1 200 OK\r\nDate: [^\r]+\r\nContent%-Type: [^\r]+\r\nContent%-Length: (%d+)\r\n\r\n()");
	if at and tonumber(promised) == #buffer - at + 1 and #buffer <= max_body then return 200, at, true; end
	local stop = buffer:find("\r\n\r\n", 1, true);
	if not stop and #buffer <= max_head then return nil; elseif not stop then return false; end
	local head, got = buffer:sub(1, stop + 1):lower(), #buffer - stop - 3;
	local status, named = head:match("^http/1%.1 (%d%d%d)[ \r]"), head:find("\ncontent-length:", 1, true);
	local length = status == "204" and 0 or named and tonumber(head:match("^[ \t]*(%d+)[ \t]*\r", named + 16));
	local odd = head:find("\ntransfer-encoding:", 1, true) or named and head:find("\ncontent-length:", named + 1, true);
	if odd or not status or not length or length > max_body or got > length then return false; end
	if got == length then return tonumber(status), stop + 4, not head:find("\nconnection:[^\n]*close"); end
end

-- urls are tried in order; timeout is for a question as a whole. Returns post(path, callback, …), whose body is up to five
-- texts. It returns a request, and calls back exactly once: then the request holds the status, a text, and where in it
-- the body begins; or nil, and why.
local function new(urls, timeout, credential)
	local connect, resolver = require "net.connect".connect, require "net.resolvers.basic".new;
	local add_timer, now, queue = require "util.timer".add_task, require "util.time".monotonic, require "util.queue".new;

	local endpoints, links, listener = {}, {}, {}; -- a link is a connection and the request that it carries
	for i, url in ipairs(urls[1] and urls or { "empty" }) do
		local authority, path = tostring(url):match("^http://([^/]+)(.-)/*$");
		local named, port = (authority or ""):match("^(.+):(%d+)$");
		local host = (named or authority or ""):match("^%[?([^%[%]]+)%]?$");
		if not host then error("usher_url must be http://host:port, but is " .. tostring(url)); end
		endpoints[i] = { i = i, host = host, port = tonumber(port or 80), idle = {}, open = 0, queue = queue(max_waiting), before = "POST " .. path,
			after = " HTTP/1.1\r\nHost: " .. authority .. (credential and "\r\nAuthorization: Bearer " .. credential or "")
				.. "\r\nAccept: application/vnd.usher.lines\r\nContent-Type: application/json\r\nContent-Length: " };
	end
	local pending, sweeping, expiring = {}, false, false; -- pending: the requests that have no answer yet

	local function after(at) return endpoints[at.i % #endpoints + 1]; end

	local function finish(request, status, text, at)
		local callback = request.callback;
		if not callback then return; end
		pending[request], request.callback, request[1], request[2], request[3] = nil, nil, status, text, at;
		callback();
	end

	local function send(link, request)
		local at, a, b, c, d, e, conn = link.at, request[1], request[2], request[3], request[4], request[5], link.conn;
		link.request, link.buffer, request.link, at.idle[link] = request, "", link, nil;
		if not conn then return; end
		local text = at.before .. request.path .. at.after .. #a + #b + #c + #d + #e .. "\r\n\r\n" .. a .. b .. c .. d .. e;
		-- The socket itself nearly always takes it all. Prosody would copy it first, and often send it a turn of its loop later.
		-- A link of which Prosody holds something back is not kept: the next question would overtake that.
		local sent, _, taken = conn:socket():send(text);
		if not sent then link.behind = true; conn:write(text:sub(taken + 1)); end
	end

	-- Gives connections to those who wait. A second attempt opens its own: where a kept connection died, so did others.
	local function serve(at)
		if at.serving or expiring then return; end -- opening can fail at once, and comes back here
		at.serving = true;
		while at.queue:peek() and (next(at.idle) or at.open < max_connections) do
			local request = at.queue:pop();
			local idle = (request.attempt == 1 or at.open >= max_connections) and next(at.idle);
			if request.at == at and request.callback then
				local link = idle or { at = at };
				send(link, request);
				if not idle then at.open = at.open + 1; connect(resolver(at.host, at.port, "tcp"), listener, {}, link); end
			end
		end
		at.serving = nil;
	end

	local function attempt(request, at, why)
		request.at, request.attempt = at, request.attempt + 1;
		if request.attempt > 2 then return finish(request, nil, why); end
		local link = request.attempt == 1 and not expiring and next(at.idle); -- nobody waits where one is idle
		if link then return send(link, request); end
		if not at.queue:push(request) then return finish(request, nil, "too many questions are waiting"); end
		serve(at);
	end

	-- Returns the request that the connection carried.
	local function drop(link)
		if not link or link.dead then return; end
		local at, conn, request = link.at, link.conn, link.request;
		link.dead, link.conn, link.request, at.idle[link], at.open = true, nil, nil, nil, at.open - 1;
		if conn then links[conn] = nil; conn:close(); end
		serve(at);
		return request;
	end

	local function sweep()
		local time, half, due = now(), #endpoints > 1 and timeout / 2 or timeout, {};
		for request in pairs(pending) do if request.start + half <= time then due[#due + 1] = request; end end
		expiring = true; -- so that nothing is begun whose time is up in this same sweep
		for _, request in ipairs(due) do
			local late = request.start + timeout <= time;
			if late and request.callback then drop(request.link); finish(request, nil, ("no answer within %g s"):format(timeout)); end
			if not late and request.callback and request.attempt == 1 then drop(request.link); attempt(request, after(request.at)); end
		end
		expiring, sweeping = false, next(pending) ~= nil;
		for _, at in ipairs(endpoints) do serve(at); end
		return sweeping and 0.05 or nil;
	end

	function listener.onattach(conn, link) links[conn], link.conn = link, conn; end

	function listener.onconnect(conn)
		conn:setoption("tcp-nodelay", true);
		if links[conn].dead then links[conn] = nil; conn:close(); else send(links[conn], links[conn].request); end
	end

	function listener.onincoming(conn, data)
		local link = links[conn];
		local request = link and link.request;
		if not request then return drop(link); end
		local text = link.buffer .. data;
		local status, at, keep = parse(text);
		if status == nil then link.buffer = text; return; end
		link.request, request.link, link.kept, link.at.idle[link] = nil, nil, true, keep;
		if keep and not link.behind then serve(link.at); else drop(link); end
		finish(request, status or nil, status and text or "the answer is not HTTP as we speak it", at);
	end

	function listener.ondisconnect(conn, err)
		local link, why = links[conn], "the connection was lost: " .. tostring(err or "the verifier closed it");
		local request = drop(link);
		if request and link.kept and link.buffer == "" then attempt(request, link.at, why); elseif request then finish(request, nil, why); end
	end

	function listener.onfail(link, err)
		local request = drop(link);
		if request then attempt(request, after(link.at), "cannot connect: " .. tostring(err)); end
	end

	return function (path, callback, a, b, c, d, e)
		local request = { a, b or "", c or "", d or "", e or "", path = path, callback = callback, start = now(), attempt = 0, at = nil, link = nil };
		pending[request], sweeping = true, sweeping or add_timer(0.05, sweep);
		attempt(request, endpoints[1]);
		return request;
	end;
end

return { parse = parse, new = new };
