import type { Service } from "../kube/index.ts";

/** Why a Service does not have what it asks for. Words for `reason` of a condition. */
export type ProblemReason =
  | "PoolExhausted"
  | "PoolNotAllowed"
  | "AddressTaken"
  | "AddressInUse"
  | "OutsidePools"
  | "NoPool"
  | "InvalidRequest";

/** A Service cannot have what it asks for, as things are. Trying again helps only when they change. */
export class ServiceProblem extends Error {
  readonly reason: ProblemReason;

  constructor(reason: ProblemReason, message: string) {
    super(message);
    this.name = "ServiceProblem";
    this.reason = reason;
  }
}

/** An address of a Service, as in `status.loadBalancer.ingress`. */
export interface AssignedAddress {
  readonly ip: string;
  /** VIP: packets arrive with this address as destination; Proxy: something before the nodes answers on it (KEP-1860). */
  readonly ipMode: "VIP" | "Proxy";
}

export interface Assignment {
  readonly addresses: readonly AssignedAddress[];
  /** What it has had before and still holds: to be released when its status shows it no more. */
  readonly former: readonly string[];
  /** What the Service asks for beyond that, and why it does not have it. Absent: it has all. */
  readonly problem?: ServiceProblem;
}

/** Which Service, also after it is gone. */
export interface ServiceIdentity {
  /** `namespace/name`. */
  readonly service: string;
  readonly uid: string;
}

/**
 * Where addresses come from. An address stays with its Service for life, is never given to two, and survives a crash at any moment
 * between any two calls. Calls come one at a time.
 */
export interface AddressProvider {
  /** The `loadBalancerClass` it serves. */
  readonly loadBalancerClass: string;
  /** It also serves Services that name no class. */
  readonly isDefault: boolean;
  /**
   * Reads what has been given out. Called once before all else, with every Service it serves, whose statuses count where its own
   * memory has been lost. Returns who holds something.
   */
  observe(services: readonly Service[]): Promise<readonly ServiceIdentity[]>;
  /** Makes sure of a Service's addresses; the answer stays the same while the Service asks for the same. */
  ensure(service: Service): Promise<Assignment>;
  /** Gives back all that a Service holds, `except` these. Nothing happens when it holds nothing. */
  release(service: ServiceIdentity, except?: readonly AssignedAddress[]): Promise<void>;
  /** Calls back when those who wait may have a chance, and with the key of a Service whose addresses have to be looked at again. */
  onChange?(listener: (service?: string) => void): void;
}
