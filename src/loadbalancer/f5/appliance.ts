import type { Exposure, ExposureKey, StepResult } from "../provider/contract.ts";

/** What a Service is on a BIG-IP. */
export interface FoundService {
  readonly key: ExposureKey;
  readonly address: string;
  /** Equal to what `Appliance.shapeOf` says: nothing has to be done. */
  readonly value: unknown;
}

/** One way to configure a BIG-IP. All calls throw ProviderFailure. */
export interface Appliance {
  /** What is there for Services of a cluster; undefined: not even the place for them. */
  services(cluster: string, signal: AbortSignal): Promise<readonly FoundService[] | undefined>;
  /** What a Service should be, at an address. Pure. */
  shapeOf(exposure: Exposure, address: string): unknown;
  /** Makes a Service what it should be. `there`: what `services` has said just now. */
  put(
    exposure: Exposure,
    address: string,
    there: readonly FoundService[] | undefined,
    signal: AbortSignal,
  ): Promise<StepResult>;
  /** Removes a Service, and the place with the last one. */
  remove(key: ExposureKey, there: readonly FoundService[], signal: AbortSignal): Promise<StepResult>;
}
