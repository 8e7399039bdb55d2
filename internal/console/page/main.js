
// Which view is shown: the address says it, behind the #, where no server sees it.

const views = {
	decisions: (view, signal, parameters) => showEvents(view, signal, false, parameters),
	events: (view, signal, parameters) => showEvents(view, signal, true, parameters),
	event: (view, signal, _, id) => showEvent(view, signal, id),
	revocations: showRevocations,
	revocation: (view, signal, _, id) => showRevocation(view, signal, id),
	explain: showExplain,
	keys: showKeys,
};

const address = (name, parameters = {}) => withParameters("#/" + name, parameters);

function go(name, parameters) {
	const to = address(name, parameters);
	if (location.hash === to) show(); else location.hash = to;
}

// guarded runs what may fail, and says so when it does. A credential that is no longer known leads back to the sign-in.
async function guarded(work) {
	notice("");
	try {
		await work();
	} catch (error) {
		if (error.name === "AbortError") return;
		if (error.status === 401) { session.credential = ""; show(); }
		notice(error.message, true);
		if (!(error instanceof Unheard)) throw error;
	}
}

let leaving = new AbortController();

function show() {
	leaving.abort();
	leaving = new AbortController();
	const view = byID("view");
	view.replaceChildren();
	if (byID("dialog").open) byID("dialog").close("no");
	for (const id of ["nav", "find", "leave"]) byID(id).hidden = !session.credential;
	if (!session.credential) return showSignIn(view);
	const reads = session.may("audit");
	byID("find").hidden = !reads;
	const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
	const [asked, id] = path.split("/");
	const name = Object.hasOwn(views, asked) ? asked : reads ? "decisions" : "revocations";
	for (const link of byID("nav").children) {
		link.hidden = !reads && link.hash !== "#/revocations";
		if (link.hash === "#/" + name.replace(/^(event|revocation)$/, "$1s")) link.setAttribute("aria-current", "page");
		else link.removeAttribute("aria-current");
	}
	const { signal } = leaving;
	view.ariaBusy = "true";
	guarded(() => views[name](view, signal, Object.fromEntries(new URLSearchParams(query)), known(id)))
		.finally(() => { if (!signal.aborted) view.ariaBusy = "false"; });
}

// known is an id in the form that usher gives them; whatever else an address names, such as .., is asked for as what there
// is not.
const known = (id) => /^\w+$/.test(id) ? id : "-";

function showSignIn(view) {
	view.append(byID("sign-in").content.cloneNode(true));
	const form = view.querySelector("form");
	form.elements.credential.focus();
	form.addEventListener("submit", (submit) => {
		submit.preventDefault();
		guarded(() => busy(form, async () => {
			const secret = form.elements.credential.value.trim();
			if (!/^[\x21-\x7e]+$/.test(secret)) throw new Unheard("This is no credential: they have letters, digits, - and _ alone.");
			session.credential = secret;
			try {
				await ask("GET", "/v1/revocations?limit=1"); // what both roles may
			} catch (error) {
				session.credential = "";
				throw error;
			}
			show();
			byID("view").focus();
		}));
	});
}

byID("leave").addEventListener("click", () => { session.credential = ""; notice(""); show(); });
byID("find").addEventListener("submit", (submit) => {
	submit.preventDefault();
	// What a person was told ends in the id, in brackets. Whatever else is pasted here does not go into an address: it may be a token.
	const [id] = /(?<!\w)[0-9a-z]{26}(?=\W*$)/i.exec(submit.target.elements.id.value) || [];
	if (!id) return notice("This is no decision id: one has 26 letters and digits, and stands at the end of what the person was told.", true);
	go("event/" + id.toUpperCase());
	submit.target.reset();
});
addEventListener("hashchange", () => {
	show();
	if (document.activeElement === document.body) byID("view").focus(); // it was on what has gone
});
show();
