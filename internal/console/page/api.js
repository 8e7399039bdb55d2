
// How the page asks. The credential goes with each request as a header and is kept for this tab alone; a token goes in
// bodies alone, never in an address.

const reasons = JSON.parse(byID("reasons").textContent);

const session = {
	get credential() { return sessionStorage.getItem("credential") || ""; },
	set credential(secret) {
		sessionStorage.clear();
		if (secret) sessionStorage.setItem("credential", secret);
	},
	// role is what usher says that the credential has.
	get role() { return sessionStorage.getItem("role"); },
	set role(name) { if (name && this.credential) sessionStorage.setItem("role", name); },
	may(role) { return [role, "admin", null].includes(this.role); },
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
	session.role = response.headers.get("Usher-Role");
	if (response.ok) return response;
	const problem = await response.json().catch(() => ({}));
	throw new Unheard(problem.detail || "usher answered " + response.status + ".", response.status);
}

async function ask(method, path, body, signal) {
	const response = await request(method, path, body, signal);
	return response.json().catch((error) => { throw error.name === "AbortError" ? error : new Unheard("usher's answer broke off."); });
}

const withParameters = (path, parameters) => Object.keys(parameters).length ? path + "?" + new URLSearchParams(parameters) : path;

// A stream says every 5 s that it lives; one that is silent for so long is dead, though nobody has closed it.
const longestSilence = 20000;

// follow hands over what is decided from now on, one event after the other, until signal ends it or the node does; begun
// is called when it has. The browser's own reader of server-sent events sends no credential.
async function follow(path, signal, begun, take) {
	const response = await request("GET", path, undefined, signal);
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	const unheard = (how) => new Unheard(how + ": new decisions are not shown any more. Switch them on again to see those that were missed, too.");
	begun();
	for (let rest = ""; ;) {
		let silence;
		const { value, done } = await Promise.race([
			reader.read().catch((error) => { throw error.name === "AbortError" ? error : unheard("The connection broke"); }),
			new Promise((_, reject) => { silence = setTimeout(() => reject(unheard("Nothing is heard from the node")), longestSilence); }),
		]).finally(() => clearTimeout(silence));
		if (done) throw unheard("The node has ended the stream");
		const lines = (rest + value).split("\n");
		rest = lines.pop();
		for (const line of lines) if (line.startsWith("data: ")) take(JSON.parse(line.slice(6)));
	}
}
