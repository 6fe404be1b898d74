const TOKEN_KEY = "signalbox-token";
const RETRY_MS = 2000;
const element = (id) => document.getElementById(id);

class Unauthorized extends Error {}

async function call(path) {
  const token = sessionStorage.getItem(TOKEN_KEY);
  const response = await fetch(path, {
    headers: token === null ? {} : { authorization: `Bearer ${token}` },
  });
  if (response.status === 401) throw new Unauthorized("A token is needed.");
  if (!response.ok) {
    throw new Error(
      (await response.json().catch(() => ({}))).detail ??
        `Status ${response.status}`,
    );
  }
  return response;
}

/** Everything is set as text: names in a config are no markup. */
function row(cells) {
  const tr = document.createElement("tr");
  for (const { text, className = "" } of cells) {
    const td = document.createElement("td");
    td.textContent = text;
    td.className = className;
    tr.append(td);
  }
  return tr;
}

async function refresh() {
  const [fleet, placements] = await Promise.all(
    ["/v1/routers", "/v1/placements?limit=1000"].map(async (path) =>
      (await call(path)).json()
    ),
  );
  element("version").textContent = fleet.version === 0
    ? "Nothing committed yet"
    : `Version ${fleet.version}, default placement ${placements.default_placement}`;
  element("routers").replaceChildren(...fleet.routers.map((router) =>
    row([
      { text: router.id + (router.duplicate_id ? " (id used twice)" : "") },
      { text: router.status, className: router.status },
      { text: router.version ?? "–" },
      {
        text: router.lag === null
          ? "–"
          : `${router.lag.versions} (${Math.round(router.lag.seconds)} s)`,
      },
      { text: router.address },
      { text: router.error ?? "" },
    ])
  ));
  element("placements").replaceChildren(
    ...placements.placements.map((placement) =>
      row([
        { text: placement.placement + (placement.default ? " (default)" : "") },
        { text: placement.endpoint },
        { text: placement.customers },
      ])
    ),
  );
}

/** Refreshes at each event; events that come while it does are answered by one more. */
async function follow() {
  const stream = (await call("/v1/events")).body.pipeThrough(
    new TextDecoderStream(),
  );
  await refresh();
  for await (const text of stream) {
    if (text.includes("event:")) await refresh();
  }
}

async function run() {
  for (;;) {
    try {
      await follow();
    } catch (error) {
      element("version").textContent = error.message;
      if (error instanceof Unauthorized) {
        element("login").hidden = false;
        return;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

element("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN_KEY, new FormData(event.target).get("token"));
  event.target.hidden = true;
  event.target.reset();
  run();
});
run();
