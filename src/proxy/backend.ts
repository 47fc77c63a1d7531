import type { ServiceConnection } from "./connections.ts";
import type { FrontendKind, NodePlan, Protocol, ProxyContext } from "../services/index.ts";

export type ProxyMode = "nftables" | "iptables" | "userspace";

/** Where a frontend really answers, and why not where it does not. */
export interface FrontendState {
  /** `namespace/name` of the Service. */
  readonly service: string;
  readonly kind: FrontendKind;
  readonly protocol: Protocol;
  /** Absent for a NodePort. */
  readonly address?: string;
  /** The port the Service asks for. */
  readonly port: number;
  /** The port that answers, when it is another one: a process without root may not open ports below 1024. */
  readonly actualPort?: number;
  /** Why it does not answer. */
  readonly problem?: string;
}

/** A connection that this process carries itself, as its client sees it. */
export interface CarriedConnection {
  readonly client: string;
  readonly clientPort: number;
  readonly address: string;
  readonly port: number;
}

/** One way to realise plans on a node. Every mode takes the same plans; none decides anything itself. */
export interface Backend {
  readonly mode: ProxyMode;
  /** The plan of a Service from now on; undefined when there is no such Service any more. */
  update(key: string, plan: NodePlan | undefined): void;
  setContext(context: ProxyContext): void;
  /** All that existed has been handed over: begin. What an earlier process left is replaced without a gap. */
  start(): void;
  /** Resolves when all that was handed over before is in force. */
  settled(): Promise<void>;
  /** Frontends that are not simply as asked for, and those of `service` when it is given. */
  frontends(service?: string): readonly FrontendState[];
  /** Why the last change is not in force; undefined when it is. */
  readonly failure: Error | undefined;
  /** Somebody else has changed what is in the kernel: all of it is built anew. */
  repair(): void;
  /**
   * Takes no part in new connections any more and applies nothing; connections that it carries go on until they end. What it has
   * put into the kernel stays until it is removed. Resolves when no change of its own is under way: before, what is removed could come back.
   */
  retire(): Promise<void>;
  /** TCP connections that end with this process; none in kernel modes, but for NodePorts on localhost. */
  connections(): readonly CarriedConnection[];
  /** Connections to Services that go by this node now; asked for rarely, as it may list all that the kernel follows. */
  serviceConnections(): Promise<readonly ServiceConnection[]>;
  readonly stopped: Promise<void>;
}
