import type { Link as HubLink, RouterSocket } from "../../cp/hub/connection.ts";
import type { LinkSocket, SocketHandlers } from "../../router/link/socket.ts";
import { parseAnnouncement, SUBPROTOCOL } from "../../shared/protocol.ts";
import type { Random } from "../harness/random.ts";
import type { ControlPlane } from "./control_plane.ts";
import type { Checker } from "./checker.ts";
import type { Process, Simulation } from "./simulation.ts";
import type { PushRecord } from "./push_record.ts";
import type { Told } from "./history.ts";

/** How the two ends learn that a connection is broken. */
export type BreakKind =
  /** Each after a while of its own. */
  | "both"
  /** The control plane only by silence. */
  | "router only"
  /** The router only by silence. */
  | "control plane only"
  /** Neither: what is sent vanishes. */
  | "neither";

/** What a control plane that is not what it should be sends again. */
export type EchoKind =
  /** Its newest push. */
  | "same"
  /** An older one. */
  | "older"
  /** Its newest, as if it were the next of another history. */
  | "foreign";

const MAX_KEPT_PUSHES = 3;
/** How long a message takes, in milliseconds; one in some takes much longer. */
const USUAL_MS = 4;
const SLOW_MS = 300;
const VERY_SLOW_MS = 14_000;
/** After so long an end that is told nothing finds out by itself. */
const LAST_NOTICE_MS = 90_000;

/** What travels in one direction: in order, each after a delay of its own. */
class Lane {
  /** What is sent from now on vanishes; what is on its way past `arrives` too. */
  cut = false;
  #sent = 0;
  #arrived = 0;
  #arrives = Infinity;
  #lastAt = 0;

  constructor(
    readonly simulation: Simulation,
    readonly random: Random,
  ) {}

  send(process: Process, deliver: () => void): void {
    if (this.cut) return;
    const number = this.#sent++;
    const { simulation, random } = this;
    const at = Math.max(this.#lastAt, simulation.now + delay(random));
    this.#lastAt = at;
    simulation.after(at - simulation.now, process, () => {
      if (number >= this.#arrives) return;
      this.#arrived = number + 1;
      deliver();
    });
  }

  /** Ends it: of what is on its way only the first few still arrive. */
  end(): void {
    if (this.cut) return;
    this.cut = true;
    this.#arrives = this.#arrived +
      this.random.below(this.#sent - this.#arrived + 1);
  }
}

function delay(random: Random): number {
  if (random.once(400)) return random.below(VERY_SLOW_MS);
  return random.below(random.once(12) ? SLOW_MS : USUAL_MS);
}

/** A connection of a router to a control plane, both of whose ends are simulated sockets. */
export class Connection {
  readonly id: number;
  readonly router: { readonly id: string; readonly process: Process };
  readonly controlPlane: ControlPlane;
  /** What the control plane was told over it. */
  told: Told = { version: null, epoch: null, digest: null };
  /** The pushes begun on it, oldest first. */
  readonly pushes: PushRecord[] = [];
  instance: string | null = null;
  /** Whether the control plane still counts it as one of its own. */
  held = false;
  /** The process of the control plane it goes to, once that has been reached. */
  server: Process | null = null;
  readonly #simulation: Simulation;
  readonly #random: Random;
  readonly #checker: Checker;
  readonly #handlers: SocketHandlers;
  readonly #url: string;
  readonly #toRouter: Lane;
  readonly #toHub: Lane;
  #link: HubLink | null = null;
  #hubTold = false;
  #hubClosing = false;
  #opened = false;
  #routerClosing = false;
  #routerGone = false;
  #paused = false;
  readonly #unread: (() => void)[] = [];
  #stalled = false;
  readonly #buffer: (string | Uint8Array)[] = [];
  #buffered = 0;
  /** The frames of the newest pushes, newest first. */
  readonly #frames: [begin: string, ...parts: Uint8Array[]][] = [];

  constructor(options: {
    id: number;
    simulation: Simulation;
    checker: Checker;
    router: { readonly id: string; readonly process: Process };
    controlPlane: ControlPlane;
    url: string;
    handlers: SocketHandlers;
  }) {
    this.id = options.id;
    this.#simulation = options.simulation;
    this.#checker = options.checker;
    this.router = options.router;
    this.controlPlane = options.controlPlane;
    this.#url = options.url;
    this.#handlers = options.handlers;
    this.#random = options.simulation.random(`connection ${options.id}`);
    this.#toRouter = new Lane(options.simulation, this.#random);
    this.#toHub = new Lane(options.simulation, this.#random);
  }

  /** Begins the handshake; `lost` where nothing of it arrives. */
  begin(lost: boolean): void {
    if (lost) return;
    this.#simulation.after(delay(this.#random), null, () => this.#arrive());
  }

  /** What the link uses. */
  readonly routerEnd: LinkSocket = {
    send: (text) => {
      if (!this.#opened || this.#routerClosing || this.#routerGone) return;
      this.#toServer(() => this.#heardByHub(text));
    },
    close: () => {
      if (this.#routerClosing || this.#routerGone) return;
      this.#routerClosing = true;
      this.#unread.length = 0;
      this.#paused = false;
      this.#toServer(() => {
        this.#toRouter.send(
          this.router.process,
          () => this.#closedForRouter(1000, "answered"),
        );
        this.tellHub();
      });
    },
    destroy: () => {
      if (this.#routerGone) return;
      this.#routerGone = true;
      this.#toServer(() => this.tellHub());
      this.#toHub.cut = true;
    },
    pause: () => {
      this.#paused = true;
    },
    resume: () => {
      if (!this.#paused) return;
      this.#paused = false;
      this.#simulation.after(0, this.router.process, () => this.#read());
    },
  };

  /** What the hub uses. */
  readonly hubEnd: RouterSocket = socketOf(this);

  get bufferedAmount(): number {
    return this.#buffered;
  }

  sendToRouter(data: string | Uint8Array): void {
    if (this.#hubClosing || this.#hubTold) return;
    this.#checker.sent(this, data);
    if (typeof data !== "string") this.#frames[0]?.push(data);
    else if (data.includes('"config_begin"')) {
      this.#frames.unshift([data]);
      this.#frames.length = Math.min(this.#frames.length, MAX_KEPT_PUSHES);
    }
    if (this.#stalled) {
      this.#buffer.push(data);
      this.#buffered += data.length;
    } else this.#pass(data);
  }

  closeByHub(code: number, reason: string): void {
    this.held = false;
    if (this.#hubClosing || this.#hubTold) return;
    this.#hubClosing = true;
    if (this.#simulation.traced) {
      this.#simulation.trace(
        `#${this.id} closes ${this.router.id}: ${code} ${reason}`,
      );
    }
    this.#toRouter.send(
      this.router.process,
      () => this.#incoming(() => this.#closeFrame(code, reason)),
    );
  }

  /** Bytes that the hub sends stay where they are, or leave again. */
  stall(on: boolean): void {
    this.#stalled = on;
    if (on) return;
    for (const data of this.#buffer.splice(0)) this.#pass(data);
    this.#buffered = 0;
  }

  /** Sends something once more that was pushed before, as a broken control plane might. */
  echo(as: EchoKind): void {
    const frames = as === "older" ? this.#frames.at(-1) : this.#frames[0];
    if (frames === undefined) return;
    const [begin, ...parts] = frames;
    if (as !== "foreign") this.#pass(begin);
    else {
      const message = JSON.parse(begin);
      const { version } = message;
      this.#pass(JSON.stringify({
        ...message,
        epoch: "another",
        version: version + 1,
        supersedes: [],
      }));
    }
    for (const part of parts) this.#pass(part);
  }

  /** Breaks the connection. */
  cut(kind: BreakKind): void {
    this.#toRouter.end();
    this.#toHub.end();
    const { process } = this.router;
    const soon = () => delay(this.#random);
    const routerHears = kind === "both" || kind === "router only";
    const hubHears = kind === "both" || kind === "control plane only";
    this.#simulation.after(
      routerHears ? soon() : LAST_NOTICE_MS,
      process,
      () => this.#closedForRouter(1006, "the connection broke"),
    );
    this.#simulation.after(
      hubHears ? soon() : LAST_NOTICE_MS,
      this.server ?? process,
      () => this.tellHub(),
    );
  }

  /** Whether both ends are there, as far as both know. */
  get live(): boolean {
    return this.#opened && !this.#routerGone && !this.#routerClosing &&
      !this.#hubClosing && !this.#hubTold && !this.#toRouter.cut;
  }

  /** The hub hears that the connection is closed. */
  tellHub(): void {
    if (this.#hubTold) return;
    this.#hubTold = true;
    this.held = false;
    this.#link?.closed();
  }

  #toServer(deliver: () => void): void {
    if (this.server !== null) this.#toHub.send(this.server, deliver);
  }

  /** The handshake has reached the control plane's machine. */
  #arrive(): void {
    const { process, hub } = this.controlPlane;
    if (process === null || hub === null) {
      this.#refuse("refused");
      return;
    }
    this.server = process;
    this.#simulation.after(0, process, () => {
      const admission = hub.admit();
      if (typeof admission === "string") return this.#refuse(admission);
      const parsed = parseAnnouncement(new URL(this.#url).searchParams);
      if (!parsed.ok || this.#routerGone) {
        admission.cancel();
        return this.#refuse("the handshake failed");
      }
      const { announcement } = parsed;
      this.#checker.announced(this, announcement);
      this.#toRouter.send(this.router.process, () => {
        if (this.#routerGone) return;
        this.#opened = true;
        this.#handlers.open(SUBPROTOCOL);
      });
      this.held = true;
      this.#link = admission.connect(this.hubEnd, {
        announcement,
        address: "10.0.0.1",
        parts: true,
      });
    });
  }

  #refuse(reason: string): void {
    this.#toRouter.send(
      this.router.process,
      () => this.#closedForRouter(1006, reason),
    );
  }

  #pass(data: string | Uint8Array): void {
    this.#toRouter.send(
      this.router.process,
      () => this.#incoming(() => this.#message(data)),
    );
  }

  /** Something has come at the router, which may not be reading. */
  #incoming(take: () => void): void {
    if (this.#routerGone) return;
    if (this.#paused) {
      this.#unread.push(take);
      return;
    }
    this.#handlers.heard();
    take();
  }

  #read(): void {
    while (!this.#paused && !this.#routerGone) {
      const take = this.#unread.shift();
      if (take === undefined) return;
      take();
    }
  }

  #message(data: string | Uint8Array): void {
    if (this.#routerClosing) return;
    if (typeof data === "string") this.#handlers.text(data, data.length);
    else this.#handlers.binary(data);
  }

  #closeFrame(code: number, reason: string): void {
    const answered = this.#routerClosing;
    this.#routerClosing = true;
    this.#toServer(() => this.tellHub());
    if (answered) return this.#closedForRouter(code, reason);
    this.#handlers.closing(code, reason);
    this.#simulation.after(
      delay(this.#random),
      this.router.process,
      () => this.#closedForRouter(1006, "the connection ended"),
    );
  }

  #closedForRouter(code: number, reason: string): void {
    if (this.#routerGone) return;
    this.#routerGone = true;
    this.#handlers.closed(code, reason);
  }

  #heardByHub(text: string): void {
    if (this.#hubTold) return;
    if (this.#simulation.traced) {
      this.#simulation.trace(`#${this.id} ${this.router.id} says ${text}`);
    }
    // The runtime gives out nothing that comes after a close from here.
    if (this.#hubClosing) return;
    this.#checker.heard(this, text);
    this.#link?.text(text);
  }
}

function socketOf(connection: Connection): RouterSocket {
  return {
    send: (data) => connection.sendToRouter(data),
    close: (code, reason) => connection.closeByHub(code, reason),
    get bufferedAmount() {
      return connection.bufferedAmount;
    },
  };
}
