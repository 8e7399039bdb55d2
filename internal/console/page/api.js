
// How the page asks. The credential goes with each request as a header and is kept for this tab alone; a token goes in
// bodies alone, never in an address.

const reasons = JSON.parse(byID("reasons").textContent);

const session = {
	get credential() { return sessionStorage.getItem("credential") || ""; },
	set credential(secret) { if (secret) sessionStorage.setItem("credential", secret); else sessionStorage.removeItem("credential"); },
};

// Unheard is what a view shows when it got no answer; its message is for people.
class Unheard extends Error {
	constructor(message, status) { super(message); this.status = status; }
}

// request resolves to a response that is no failure; signal ends it.
async function request(method, path, body, signal) {
	const headers = { Authorization: "Bearer " + session.credential };
	if (body !== undefined) headers["Content-Type"] = "application/json";
	let response;
	try {
		response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal, cache: "no-store", credentials: "omit", redirect: "error" });
	} catch (error) {
		if (error.name === "AbortError") throw error;
		throw new Unheard("usher does not answer here. Is the node running?");
	}
	if (response.ok) return response;
	const problem = await response.json().catch(() => ({}));
	throw new Unheard(problem.detail || "usher answered " + response.status + ".", response.status);
}

async function ask(method, path, body, signal) { return (await request(method, path, body, signal)).json(); }

const withParameters = (path, parameters) => Object.keys(parameters).length ? path + "?" + new URLSearchParams(parameters) : path;

// follow hands over what is decided from now on, one event after the other, until signal ends it or the node does. The
// browser's own reader of server-sent events sends no credential.
async function follow(path, signal, take) {
	const response = await request("GET", path, undefined, signal);
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	for (let rest = ""; ;) {
		const { value, done } = await reader.read();
		if (done) throw new Unheard("The node has ended the stream.");
		const lines = (rest + value).split("\n");
		rest = lines.pop();
		for (const line of lines) if (line.startsWith("data: ")) take(JSON.parse(line.slice(6)));
	}
}
