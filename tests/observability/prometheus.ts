import { parse, stringify } from "yaml";
import { until } from "../harness/until.ts";
import { FILES, prometheusCommand } from "./promtool.ts";

/** How often everything is scraped and every rule is looked at. */
const INTERVAL = "250ms";
/** What `for:` of the rules is shortened to. */
const FOR = "500ms";

/** What a query answered: its series. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [time: number, value: string];
}

/** A Prometheus that scrapes a control plane and its routers, with the rules that come with Signalbox. */
export class Prometheus implements AsyncDisposable {
  readonly #url: string;
  readonly #child: Deno.ChildProcess;
  readonly #log: Promise<string>;

  private constructor(url: string, child: Deno.ChildProcess) {
    this.#url = url;
    this.#child = child;
    this.#log = new Response(child.stderr).text();
  }

  /** Starts one, and waits until it has scraped all targets; `folder` is for its files. */
  static async start(
    folder: string,
    targets: { cp: readonly string[]; routers: readonly string[] },
  ): Promise<Prometheus> {
    const port = freePort();
    const rules = parse(await Deno.readTextFile(new URL("alerts.yaml", FILES)));
    for (const group of rules.groups) {
      group.interval = INTERVAL;
      for (const rule of group.rules) {
        if (rule.for !== undefined) rule.for = FOR;
      }
    }
    await Deno.writeTextFile(`${folder}/alerts.yaml`, stringify(rules));
    const config = parse(
      await Deno.readTextFile(new URL("prometheus.yaml", FILES)),
    );
    config.global = { scrape_interval: INTERVAL, scrape_timeout: INTERVAL };
    const [cp, router] = config.scrape_configs;
    cp.static_configs = [{ targets: targets.cp }];
    router.static_configs = [{ targets: targets.routers }];
    await Deno.writeTextFile(`${folder}/prometheus.yaml`, stringify(config));
    const command = prometheusCommand("prometheus", [
      `--config.file=${folder}/prometheus.yaml`,
      `--storage.tsdb.path=${folder}/tsdb`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=warn",
    ]);
    const child = command.spawn();
    await child.stdout.cancel();
    const prometheus = new Prometheus(`http://127.0.0.1:${port}`, child);
    const all = targets.cp.length + targets.routers.length;
    await until("everything to be scraped", async () => {
      const up = await prometheus.query("up == 1");
      return up.length === all;
    });
    return prometheus;
  }

  /**
   * Evaluates an expression now.
   *
   * @throws {Error} with what Prometheus says of it, if it is none.
   */
  async query(expr: string): Promise<readonly Series[]> {
    const { data } = await this.#get(
      `/api/v1/query?query=${encodeURIComponent(expr)}`,
    );
    return data.result;
  }

  /** The names of all metrics that were scraped. */
  async metrics(): Promise<readonly string[]> {
    return (await this.#get("/api/v1/label/__name__/values")).data;
  }

  /** The alerts that fire, by name. */
  async firing(): Promise<readonly string[]> {
    const { data } = await this.#get("/api/v1/alerts");
    const firing: { state: string; labels: Record<string, string> }[] =
      data.alerts;
    return firing.filter(({ state }) => state === "firing")
      .map(({ labels }) => labels.alertname!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
    await this.#log;
  }

  // Each caller knows the shape of what it asks for.
  // deno-lint-ignore no-explicit-any
  async #get(path: string): Promise<any> {
    const response = await fetch(this.#url + path);
    const body = await response.json();
    if (body.status !== "success") throw new Error(JSON.stringify(body));
    return body;
  }
}

/** A port that was free a moment ago: Prometheus does not tell which one it took. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
