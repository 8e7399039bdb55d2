-- A lean HTTP/1.1 client: what the shim needs to ask one question, and nothing else.
--
-- net.http costs four times as much for one question, has no deadline of its own, and keeps no connection on 0.12
-- (one on 13). Here up to 32 connections an endpoint are kept, each with one request in flight; further requests wait
-- in a bounded queue; one timer sweeps the deadlines. Whatever is odd in an answer drops its connection.

local max_connections, max_pending, max_head, max_body = 32, 4096, 16 * 1024, 256 * 1024;

-- Reads an answer out of what has arrived: nil while it is not complete, false where it is not one that we take,
-- else its status, its body, and whether the connection may be kept.
local function parse(buffer)
	local stop = buffer:find("\r\n\r\n", 1, true);
	if not stop then
		if #buffer > max_head then return false; end
		return nil;
	end
	local head = buffer:sub(1, stop + 1):lower();
	local status, length, keep = head:match("^http/1%.1 (%d%d%d)[ \r]"), nil, true;
	for name, value in head:gmatch("\n([^:\r\n]*):[ \t]*([^\r\n]-)[ \t]*%f[\r]") do
		if name == "content-length" then
			if length or not value:find("^%d+$") then return false; end
			length = tonumber(value);
		elseif name == "transfer-encoding" then
			return false;
		elseif name == "connection" and value:find("close", 1, true) then
			keep = false;
		end
	end
	local got = #buffer - stop - 3;
	if not status or not length or length > max_body or got > length then return false; end
	if got < length then return nil; end
	return tonumber(status), buffer:sub(stop + 4), keep;
end

local function endpoint(url, credential)
	local host, port, path = url:match("^http://([^/:%[]+):?(%d*)(/?.*)$");
	if not host then host, port, path = url:match("^http://%[([%x:]+)%]:?(%d*)(/?.*)$"); end
	if not host then error("usher_url must be http://host:port, but is " .. url); end
	return {
		host = host, port = tonumber(port) or 80, path = path, idle = {}, open = 0, queue = { first = 1, last = 0 };
		headers = " HTTP/1.1\r\nHost: " .. url:match("^http://([^/]+)") .. "\r\n"
			.. (credential and "Authorization: Bearer " .. credential .. "\r\n" or "")
			.. "Content-Type: application/json\r\nContent-Length: ";
	};
end

local function push(queue, item)
	queue.last = queue.last + 1;
	queue[queue.last] = item;
end

local function pop(queue)
	local item = queue[queue.first];
	if item then
		queue[queue.first], queue.first = nil, queue.first + 1;
	end
	return item;
end

-- config: urls (tried in order), timeout (for a question as a whole), credential.
local function new(config)
	local connect, resolver = require "net.connect".connect, require "net.resolvers.basic".new;
	local add_timer, now = require "util.timer".add_task, require "util.time".monotonic;

	local endpoints = {};
	for i, url in ipairs(config.urls) do
		endpoints[i] = endpoint(url, config.credential);
	end
	local preferred, preferred_until = 1, 0;
	local pending, closed = 0, false;
	local links, listener = {}, {}; -- a link is a connection and the request that it carries
	-- With several endpoints the first has half of the time. Every mark is equally far ahead, so they stay in order.
	local step = #endpoints > 1 and config.timeout / 2 or config.timeout;
	local due, sweeping = { first = 1, last = 0 }, false;
	local start;

	local function finish(request, ...)
		if request.done then return; end
		request.done, request.body, request.link, pending = true, nil, nil, pending - 1;
		request.callback(...);
	end

	local function drop(link)
		if link.dropped then return; end
		link.dropped, link.at.open = true, link.at.open - 1;
		for i, other in ipairs(link.at.idle) do
			if other == link then table.remove(link.at.idle, i); break; end
		end
		if link.conn then
			links[link.conn] = nil;
			link.conn:close();
		end
	end

	-- The next in an endpoint's queue that still wants its answer from there.
	local function waiting(at)
		local request;
		repeat
			request = pop(at.queue);
		until not request or not request.done and not request.link and request.at == at;
		return request;
	end

	local function send(link, request)
		link.request, link.buffer, request.link = request, "", link;
		if link.conn then
			link.conn:write("POST " .. link.at.path .. request.path .. link.at.headers .. #request.body .. "\r\n\r\n"
				.. request.body);
		end
	end

	local function open(at, request)
		local link = { at = at };
		at.open = at.open + 1;
		send(link, request);
		connect(resolver(at.host, at.port, "tcp"), listener, {}, link);
	end

	-- Where connections went, those who wait for one may open another. (A loop: opening can fail at once, and calls this.)
	local function refill(at)
		if at.refilling then return; end
		at.refilling = true;
		while not closed and at.open < max_connections do
			local request = waiting(at);
			if not request then break; end
			open(at, request);
		end
		at.refilling = nil;
	end

	local function release(link)
		local request = not closed and waiting(link.at);
		link.kept = true;
		if request then
			send(link, request);
		elseif closed then
			drop(link);
		else
			table.insert(link.at.idle, link);
		end
	end

	-- The second attempt, unless this was it.
	local function again(request, at, why)
		request.link = nil;
		if request.second or closed then return finish(request, nil, why); end
		request.second, request.at = true, at;
		start(request);
	end

	-- The endpoint after one that failed; for a while, questions begin there.
	local function after(at)
		for i = 1, #endpoints do
			if endpoints[i] == at then preferred, preferred_until = i % #endpoints + 1, now() + 10; end
		end
		return endpoints[preferred];
	end

	-- A second attempt takes no idle connection: where one was dead, its siblings are.
	function start(request)
		local link = not request.second and table.remove(request.at.idle);
		if link then
			send(link, request);
		elseif request.at.open < max_connections then
			open(request.at, request);
		else
			push(request.at.queue, request);
		end
	end

	-- Nobody waits any more for what a connection would bring.
	local function abandon(request)
		local link = request.link;
		request.link = nil;
		if not link then return; end
		link.request = nil;
		if link.conn then
			drop(link);
			refill(link.at);
		end
	end

	local function overdue(request)
		if request.done then return; end
		if request.mark < request.deadline then
			request.mark = request.deadline;
			push(due, request);
			if not request.second then
				abandon(request);
				again(request, after(request.at));
			end
		else
			abandon(request);
			finish(request, nil, ("no answer within %g s"):format(config.timeout));
		end
	end

	local function sweep()
		local time = now();
		while due.first <= due.last and due[due.first].mark <= time do
			overdue(pop(due));
		end
		sweeping = due.first <= due.last;
		return sweeping and math.max(due[due.first].mark - time, 0.05) or nil;
	end

	function listener.onattach(conn, link)
		links[conn], link.conn = link, conn;
	end

	function listener.onconnect(conn)
		local link = links[conn];
		conn:setoption("tcp-nodelay", true);
		if link.request then send(link, link.request); else release(link); end
	end

	function listener.onincoming(conn, data)
		local link = links[conn];
		if not link then return; end
		local request, status, body, keep = link.request, false, nil, nil;
		if request then
			link.buffer = link.buffer .. data;
			status, body, keep = parse(link.buffer);
			if status == nil then return; end
		end
		link.request = nil;
		if keep then
			release(link);
		else
			drop(link);
			refill(link.at);
		end
		if request then finish(request, status or nil, body or "the answer is not HTTP as we speak it"); end
	end

	function listener.ondisconnect(conn, err)
		local link = links[conn];
		if not link then return; end
		local request = link.request;
		links[conn], link.conn, link.request = nil, nil, nil;
		drop(link);
		if request and link.kept and link.buffer == "" then
			again(request, link.at, err);
		elseif request then
			finish(request, nil, "the connection was lost: " .. tostring(err));
		end
		refill(link.at);
	end

	function listener.onfail(link, err)
		local request = link.request;
		link.request = nil;
		drop(link);
		if request then again(request, after(link.at), "cannot connect: " .. tostring(err)); end
		refill(link.at);
	end

	local client = { urls = config.urls, credential = config.credential };

	-- callback(status, body) or callback(nil, why): once, within the timeout.
	function client.post(path, body, callback)
		if pending >= max_pending then return callback(nil, "too many questions are waiting already"); end
		local time = now();
		if time > preferred_until then preferred = 1; end
		local request = {
			path = path, body = body, callback = callback, at = endpoints[preferred];
			mark = time + step, deadline = time + config.timeout;
		};
		pending = pending + 1;
		push(due, request);
		if not sweeping then
			sweeping = true;
			add_timer(step, sweep);
		end
		start(request);
	end

	function client.close()
		closed = true;
		for _, at in ipairs(endpoints) do
			while at.idle[1] do drop(at.idle[1]); end
		end
	end

	return client;
end

return { parse = parse, new = new };
