-- A lean HTTP/1.1 client: what the shim needs to ask one question, and nothing else.
--
-- net.http costs four times as much for one question, has no deadline of its own, and keeps no connection on 0.12
-- (one on 13). Here up to 32 connections an endpoint are kept, each with one request in flight; further requests wait
-- in a bounded queue; one timer sweeps the deadlines. Whatever is odd in an answer drops its connection.

local max_connections, max_waiting, max_head, max_body = 32, 4096, 16 * 1024, 256 * 1024;

-- Reads an answer out of what has arrived: nil while it is not complete, false where it is not one that we take,
-- else its status, its body, and whether the connection may be kept.
local function parse(buffer)
	local stop = buffer:find("\r\n\r\n", 1, true);
	if not stop and #buffer <= max_head then return nil; elseif not stop then return false; end
	local head = buffer:sub(1, stop + 1):lower();
	local status, got, length, keep = head:match("^http/1%.1 (%d%d%d)[ \r]"), #buffer - stop - 3, nil, true;
	for name, value in head:gmatch("\n([^:\r\n]*):[ \t]*([^\r\n]-)[ \t]*%f[\r]") do
		if name == "transfer-encoding" or name == "content-length" and length then return false; end
		if name == "content-length" then length = tonumber(value:match("^%d+$")) or math.huge; end
		keep = keep and not (name == "connection" and value:find("close", 1, true));
	end
	if status == "204" then length = 0; end
	if not status or not length or length > max_body or got > length then return false; end
	if got == length then return tonumber(status), buffer:sub(stop + 4), keep; end
end

-- urls are tried in order; timeout is for a question as a whole. Returns post(path, body, callback), which calls back
-- exactly once within it: callback(status, body), or callback(nil, why).
local function new(urls, timeout, credential)
	local connect, resolver = require "net.connect".connect, require "net.resolvers.basic".new;
	local add_timer, now, queue = require "util.timer".add_task, require "util.time".monotonic, require "util.queue".new;

	local endpoints, links, listener = {}, {}, {}; -- a link is a connection and the request that it carries
	for i, url in ipairs(urls) do
		local authority, path = url:match("^http://([^/]+)(.-)/*$");
		local host, port = (authority or ""):match("^%[?(..-)%]?:?(%d*)$");
		if not host then error("usher_url must be http://host:port, but is " .. url); end
		local headers = " HTTP/1.1\r\nHost: " .. authority .. (credential and "\r\nAuthorization: Bearer " .. credential or "")
			.. "\r\nContent-Type: application/json\r\nContent-Length: ";
		endpoints[i] = { i = i, host = host, port = tonumber(port) or 80, idle = {}, open = 0, queue = queue(max_waiting) };
		endpoints[i].before, endpoints[i].after = "POST " .. path, headers;
	end
	-- All requests in the order of their deadlines, linked by next; both ends are the last that was dealt with.
	local last, sweeping, expiring = {}, false, false;
	local halved, ended = last, last;

	local function after(at) return endpoints[at.i % #endpoints + 1]; end

	local function finish(request, ...) if not request.done then request.done = true; request.callback(...); end end

	local function send(link, request)
		local at, body = link.at, request.body;
		link.request, link.buffer, request.link, at.idle[link] = request, "", link, nil;
		if link.conn then link.conn:write(at.before .. request.path .. at.after .. #body .. "\r\n\r\n" .. body); end
	end

	-- Gives connections to those who wait. A second attempt opens its own: where a kept connection died, so did others.
	local function serve(at)
		if at.serving or expiring then return; end -- opening can fail at once, and comes back here
		at.serving = true;
		while at.queue:peek() and (next(at.idle) or at.open < max_connections) do
			local request = at.queue:pop();
			local idle = (request.attempt == 1 or at.open >= max_connections) and next(at.idle);
			if request.at == at and not request.done then
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
		if not at.queue:push(request) then return finish(request, nil, "too many questions are waiting"); end
		serve(at);
	end

	local function drop(link)
		if not link or link.dead then return; end
		local at, conn = link.at, link.conn;
		link.dead, link.conn, link.request, at.idle[link], at.open = true, nil, nil, nil, at.open - 1;
		if conn then links[conn] = nil; conn:close(); end
		serve(at);
	end

	local function sweep()
		local time, half = now(), #endpoints > 1 and timeout / 2 or timeout;
		expiring = true; -- so that nothing is begun whose time is up in this same sweep
		while halved.next and halved.next.start + half <= time do
			halved = halved.next;
			local retry = half < timeout and not halved.done and halved.attempt == 1;
			if retry then drop(halved.link); attempt(halved, after(halved.at)); end
		end
		while ended.next and ended.next.start + timeout <= time do
			ended = ended.next;
			if not ended.done then drop(ended.link); finish(ended, nil, ("no answer within %g s"):format(timeout)); end
		end
		expiring, sweeping = false, ended.next ~= nil;
		for _, at in ipairs(endpoints) do serve(at); end
		return sweeping and 0.05 or nil;
	end

	function listener.onattach(conn, link) links[conn], link.conn = link, conn; end

	function listener.onconnect(conn)
		conn:setoption("tcp-nodelay", true);
		if links[conn].dead then conn:close(); else send(links[conn], links[conn].request); end
	end

	function listener.onincoming(conn, data)
		local link = links[conn];
		local request = link and link.request;
		if not request then return drop(link); end
		link.buffer = link.buffer .. data;
		local status, body, keep = parse(link.buffer);
		if status == nil then return; end
		link.request, request.link, link.kept, link.at.idle[link] = nil, nil, true, keep;
		if keep then serve(link.at); else drop(link); end
		finish(request, status or nil, body or "the answer is not HTTP as we speak it");
	end

	function listener.ondisconnect(conn, err)
		local link, why = links[conn], "the connection was lost: " .. tostring(err);
		local request = link and link.request;
		drop(link);
		if not request then return; end
		if link.kept and link.buffer == "" then attempt(request, link.at, why); else finish(request, nil, why); end
	end

	function listener.onfail(link, err)
		local request = link.request;
		drop(link);
		if request then attempt(request, after(link.at), "cannot connect: " .. tostring(err)); end
	end

	return function (path, body, callback)
		local request = { path = path, body = body, callback = callback, start = now(), attempt = 0 };
		last.next, last = request, request;
		if not sweeping then add_timer(0.05, sweep); end
		sweeping = true;
		attempt(request, endpoints[1]);
	end;
end

return { parse = parse, new = new };
