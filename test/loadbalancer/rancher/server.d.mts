import type { Server } from "node:http";

export const accessKey: string;
export const secretKey: string;

export interface RancherState {
  readonly balancers: readonly {
    readonly name: string;
    readonly state: string;
    readonly body: Record<string, unknown> & { lbConfig?: Record<string, unknown> };
    readonly links: readonly { readonly serviceId: string; readonly ports: readonly string[] }[];
    readonly endpoints: readonly string[];
  }[];
  /** Names. */
  readonly certificates: readonly string[];
  /** UIDs by Rancher's id. */
  readonly services: Readonly<Record<string, string>>;
  readonly invalid: readonly string[];
  /** Requests that wrote. */
  readonly log: readonly string[];
  readonly subscribers: number;
}

export interface Rancher {
  readonly server: Server;
  readonly mode: Record<string, unknown>;
  mirror(
    services: readonly {
      readonly namespace: string;
      readonly name: string;
      readonly uid: string;
      readonly addresses: readonly string[];
    }[],
  ): void;
  rename(name: string, to: { readonly name: string; readonly externalId: string }): void;
  move(host: string): void;
  state(): RancherState;
  close(): Promise<void>;
}

export function createRancher(options?: { folder?: string; hosts?: readonly string[] }): Rancher;
